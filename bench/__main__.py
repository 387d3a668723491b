"""python -m bench [NAME …]: measures what the documents claim; all of it where nothing is named, but for the scores.

Ratios count: one run gives both sides. Options after the names are those of scores, which takes half an hour.
"""

import sys
import tempfile
from itertools import takewhile
from pathlib import Path

from bench import azure, crowd, detection, images, inspection, jobs, records, scores, transfer
from tests.e2e.house import House

PARTS = {
    "jobs": jobs.measure,
    "bytes": transfer.measure,
    "azure": azure.measure,
    "records": records.measure,
    "inspect": inspection.measure,
    "crowd": crowd.measure,
    "images": images.measure,
    "detection": detection.measure,
    "scores": scores.measure,
}
ALL = [name for name in PARTS if name != "scores"]


def main() -> None:
    """Measure the parts that are named, or all of them."""
    names = list(takewhile(lambda word: not word.startswith("--"), sys.argv[1:]))
    for name in names or ALL:
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
