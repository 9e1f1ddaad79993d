from __future__ import annotations


def pytest_terminal_summary(terminalreporter):
    """Print what tests recorded under the name "summary"."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, line in report.user_properties:
            if name == "summary":
                terminalreporter.write_line(line)
