"""python -m bench [jobs] [bytes] [azure] [records] [inspect] [images]: measures what the documents claim.

Ratios count: one run gives both sides.
"""

import sys
import tempfile
from pathlib import Path

from bench import azure, images, inspection, jobs, records, transfer
from tests.e2e.house import House

PARTS = {
    "jobs": jobs.measure,
    "bytes": transfer.measure,
    "azure": azure.measure,
    "records": records.measure,
    "inspect": inspection.measure,
    "images": images.measure,
}


def main() -> None:
    """Measure the parts that are named, or all of them."""
    for name in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            house = House(Path(folder))
            house.start()
            try:
                house.wait_ready()
                sys.stdout.write(PARTS[name](house, Path(folder)) + "\n")
            finally:
                house.stop()


if __name__ == "__main__":
    main()
