"""`python -m tests` runs all tests, in lanes beside each other that take about as long: those that look after records,
those that train or move stored objects, and the others."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import BinaryIO

from tests.servers.programs import LANE

RECORDS = (
    "tests/contract/metadata", "tests/e2e/test_backups.py", "tests/e2e/test_bad_input.py", "tests/e2e/test_main_job.py",
    "tests/e2e/test_migrate.py",
)  # fmt: skip
TRAININGS = (
    "tests/contract/training", "tests/unit/training_workloads", "tests/e2e/test_images.py", "tests/e2e/test_imports.py",
    "tests/e2e/test_predictions.py", "tests/e2e/test_storage_move.py", "tests/e2e/test_storage_policy.py",
    "tests/e2e/test_storage_records.py", "tests/e2e/test_storage_upkeep.py",
)  # fmt: skip
PYTEST = (sys.executable, "-m", "pytest")


def main() -> int:
    """The first status that is not 0; what the lanes at the side said comes last, each in one piece."""
    others = [*PYTEST, "tests", *(f"--ignore={each}" for each in (*RECORDS, *TRAININGS))]
    with tempfile.TemporaryFile() as records, tempfile.TemporaryFile() as trainings:
        beside = {_start(RECORDS, records, 1): records, _start(TRAININGS, trainings, 2): trainings}
        try:
            status = subprocess.call(others)
        finally:
            for lane, said in beside.items():
                lane.wait()
                said.seek(0)
                shutil.copyfileobj(said, sys.stdout.buffer)
    return next((code for code in (status, *(lane.returncode for lane in beside)) if code), 0)


def _start(tests: Sequence[str], said: BinaryIO, lane: int) -> "subprocess.Popen[bytes]":
    # Not all layers are in a lane at the side, so only the others have to have all of them.
    environment = {**os.environ, "MODELYARD_EVERY_LAYER": "", LANE: str(lane)}
    return subprocess.Popen([*PYTEST, *tests], stdout=said, stderr=subprocess.STDOUT, env=environment)


if __name__ == "__main__":
    sys.exit(main())
