"""python -m bench [NAME …]: measures what the documents claim. Ratios count: one run gives both sides."""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

from bench import azure, crowd, detection, images, inspection, jobs, predict, records, scores, transfer
from tests.e2e.house import House

PARTS = {
    "jobs": jobs.measure,
    "bytes": transfer.measure,
    "azure": azure.measure,
    "records": records.measure,
    "inspect": inspection.measure,
    "predict": predict.measure,
    "crowd": crowd.measure,
    "images": images.measure,
    "detection": detection.measure,
}


def main() -> None:
    """Measure the parts that are named, or all of them but for the scores."""
    options = _options()
    parts = PARTS | {"scores": partial(scores.measure, options)}
    for name in options.names or PARTS:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            house = House(Path(folder))
            house.start()
            try:
                house.wait_ready()
                sys.stdout.write(parts[name](house, Path(folder)) + "\n")
            finally:
                house.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure what the documents claim.")
    known = ", ".join([*PARTS, "scores"])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{known}; all but scores, which takes half an hour")
    scores.add_options(parser.add_argument_group("scores"))
    options = parser.parse_args()
    if unknown := set(options.names) - {*PARTS, "scores"}:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {known}")
    return options


if __name__ == "__main__":
    main()
