"""Tells at the end of a run how much was compared."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, told in getattr(report, "user_properties", []):
                if name == "fuzz":
                    terminalreporter.write_sep("-", "engine against naive evaluator")
                    terminalreporter.write_line(told)
