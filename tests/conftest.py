"""No test is skipped, and in CI no layer is missing: a layer that nobody ran has proven nothing."""

import os
import signal
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no fault of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# What is started in the background of a script ignores Ctrl-C, and so would the programs that tests press it for.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

LAYERS = ("unit", "contract", "integration", "e2e")
ran: Counter[str] = Counter()
skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note which layer a test belongs to, and whether it ran."""
    if report.skipped:
        skipped.append(report.nodeid)
    elif report.when == "call":
        ran[report.nodeid.removeprefix("tests/").partition("/")[0]] += 1


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a session that skipped something, or, where every layer was asked for, left one out."""
    missing = [layer for layer in LAYERS if not ran[layer]] if os.environ.get("MODELYARD_EVERY_LAYER") else []
    if skipped or missing:
        session.exitstatus = exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests of each layer ran, and what should have."""
    terminalreporter.write_line("layers: " + ", ".join(f"{layer} {ran[layer]}" for layer in LAYERS))
    for test in skipped:
        terminalreporter.write_line(f"SKIPPED, which counts as failed: {test}")
