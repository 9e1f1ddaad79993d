"""The combination benchmark: every combination of parts by name, measured by suites. No torch here."""

from vidgen.bench.store import Artefact, Measure, Row, Store
from vidgen.bench.suite import Suite, SuiteConfig

__all__ = ["Artefact", "Measure", "Row", "Store", "Suite", "SuiteConfig"]
