"""`python -m tests` runs all tests: those that spend their time in databases beside the others."""

import os
import shutil
import subprocess
import sys
import tempfile

RECORDS = ("tests/contract/metadata", "tests/e2e/test_backups.py", "tests/e2e/test_migrate.py")
PYTEST = (sys.executable, "-m", "pytest")


def main() -> int:
    """The first status that is not 0; what the tests of the records said comes last, in one piece."""
    others = [*PYTEST, "tests", *(f"--ignore={each}" for each in RECORDS)]
    # Not all layers are among the records, so only the others have to have all of them.
    environment = {**os.environ, "MODELYARD_EVERY_LAYER": ""}
    with tempfile.TemporaryFile() as said:
        beside = subprocess.Popen([*PYTEST, *RECORDS], stdout=said, stderr=subprocess.STDOUT, env=environment)
        try:
            status = subprocess.call(others) or beside.wait()
        finally:
            beside.wait()
            said.seek(0)
            shutil.copyfileobj(said, sys.stdout.buffer)
    return status or beside.returncode


if __name__ == "__main__":
    sys.exit(main())
