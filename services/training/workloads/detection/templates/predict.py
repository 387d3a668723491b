"""Finds things in images with the model of this folder.

python predict.py photo.jpg more/                 writes what was found to standard output, as CSV
python predict.py photos/ -o found.json           writes it to a file, as JSON by its name
python predict.py photos/ --draw drawn/           also writes the images with the boxes drawn into them
"""

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path
from typing import Any, TextIO

from load_model import Found, draw, load  # type: ignore[import-not-found]
from pictures import SUFFIXES, read_picture  # type: ignore[import-not-found]

FIELDS = ["file", "class", "score", "x_min", "y_min", "x_max", "y_max"]


def main() -> int:
    """Find, write; 0 when that went well, 1 when an image or the package is not right. Of the other images is told."""
    options = _parse_options()
    try:
        answers = list(_find(options))
        read = [found for found in answers if found is not None]
        if read or not answers:
            _tell(list(chain(*read)), options)
        return int(len(read) < len(answers))
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, ValueError) as error:
        sys.stderr.write(f"predict.py: {error}\n")
        return 1


def _find(options: argparse.Namespace) -> Iterator[list[dict[str, Any]] | None]:
    """The rows of each image; None of one that cannot be read."""
    model = load()
    drawn: set[Path] = set()
    for name, path in _images(options.images):
        image = _read(name, path)
        if image is None:
            yield None
            continue
        found = model.detect(image, options.threshold)
        if options.draw:
            target = _target(options.draw, name, drawn)
            target.parent.mkdir(parents=True, exist_ok=True)
            draw(image, found).save(target)
            drawn.add(target)
        yield [_row(name, one) for one in found]


def _row(name: str, one: Found) -> dict[str, Any]:
    box = [round(side, 2) for side in one.box]
    return dict(zip(FIELDS, [name, one.label, round(one.score, 4), *box], strict=True))


def _read(name: str, path: Path) -> Any:
    """An image; None, and a line that says why, where it cannot be read."""
    try:
        return read_picture(path.read_bytes())
    except (OSError, ValueError) as error:
        sys.stderr.write(f"predict.py: {name}: {error}\n")
        return None


def _target(folder: Path, name: str, drawn: set[Path]) -> Path:
    """Where an image is drawn: under its own name, as 1.png or 1.jpg.png, with a number where that is drawn already."""
    png = folder / (name if name.lower().endswith(".png") else f"{name}.png")
    numbered = (png.with_suffix(f".{number}{png.suffix}") for number in count(2))
    return next(target for target in chain([png], numbered) if target not in drawn)


def _images(given: list[Path]) -> Iterator[tuple[str, Path]]:
    """Files by the names they are told by: as given, or below the folder that was given."""
    for path in given:
        if not path.is_dir():
            yield path.name, path
            continue
        for inner in sorted(path.rglob("*")):
            if inner.suffix.lower() in SUFFIXES and inner.is_file():
                yield inner.relative_to(path).as_posix(), inner


def _tell(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    if options.output is None:
        _write(rows, options.format or "csv", sys.stdout)
        sys.stdout.flush()
        return
    with options.output.open("w", newline="", encoding="utf-8") as file:
        _write(rows, options.format or options.output.suffix.lstrip("."), file)


def _write(rows: list[dict[str, Any]], kind: str, file: TextIO) -> None:
    if kind == "json":
        json.dump(rows, file, indent=2, ensure_ascii=False)
        file.write("\n")
        return
    writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Finds things in images.")
    parser.add_argument("images", type=Path, nargs="+", help="images, or folders of images")
    parser.add_argument("-o", "--output", type=Path, help="file to write; standard output when absent")
    parser.add_argument("--format", choices=["csv", "json"], help="by the name of the output when absent, else CSV")
    parser.add_argument("--threshold", type=float, help="how sure the model has to be; its own when absent")
    parser.add_argument("--draw", type=Path, metavar="FOLDER", help="where to write images with the boxes drawn")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
