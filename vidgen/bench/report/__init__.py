"""Reports of measured combinations. No torch here."""

from vidgen.bench.report.write import write_report

__all__ = ["write_report"]
