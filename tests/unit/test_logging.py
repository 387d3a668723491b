"""The log, on a disk that is full."""

import json
import os
import sys
from pathlib import Path

import pytest
import structlog

from servicekit import logging
from servicekit.settings import Settings


@pytest.fixture(autouse=True)
def as_before():
    before = structlog.get_config()
    yield
    structlog.contextvars.clear_contextvars()
    structlog.configure(**before)


def test_lines_that_cannot_be_written_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What they tell of goes on; there is room again, and the next line says how many there were."""
    later = tmp_path / "log"
    with Path("/dev/full").open("w", buffering=1) as stream, later.open("w") as room:
        monkeypatch.setattr(sys, "stderr", stream)
        logging.configure(Settings(log_format="json"), "test")
        log = structlog.get_logger()
        log.info("first")
        log.warning("second")
        os.dup2(room.fileno(), stream.fileno())
        log.info("third")
        log.info("fourth")
    said = {line["event"]: line.get("lines_failed") for line in map(json.loads, later.read_text().splitlines())}

    assert (said["third"], said["fourth"]) == (2, None)
