"""Tells the class of images with the model of this folder, a line an image.

python predict.py picture.jpg others/            writes a CSV table to standard output
python predict.py picture.jpg others/ -o out.csv    writes it to a file
"""

import argparse
import csv
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from load_model import Model, load  # type: ignore[import-not-found]
from pictures import SUFFIXES, read_picture  # type: ignore[import-not-found]

AT_ONCE = 32


def main() -> int:
    """Read, predict, write; 0 when that went well, 1 when an image, a path or the package is not right."""
    options = _parse_options()
    try:
        paths = list(_images(options.images))
        model = load()
        if options.output is None:
            return _write(model, paths, sys.stdout)
        with options.output.open("w", newline="", encoding="utf-8") as file:
            return _write(model, paths, file)
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, ValueError) as error:
        sys.stderr.write(f"predict.py: {error}\n")
        return 1


def _images(given: Sequence[Path]) -> Iterator[Path]:
    """The files that are given, and all images in the folders that are."""
    for path in given:
        if path.is_dir():
            yield from sorted(inner for inner in path.rglob("*") if inner.suffix.lower() in SUFFIXES)
        else:
            yield path


def _write(model: Model, paths: Sequence[Path], file: TextIO) -> int:
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["file", "prediction", *(f"probability_{name}" for name in model.classes)])
    failed = False
    for start in range(0, len(paths), AT_ONCE):
        read = {path: _read(path, model.image_size) for path in paths[start : start + AT_ONCE]}
        sound = {path: image for path, image in read.items() if image is not None}
        failed = failed or len(sound) < len(read)
        if sound:
            table.writerows(_lines(model, sound))
    file.flush()
    return int(failed)


def _lines(model: Model, images: dict[Path, Any]) -> Iterator[list[Any]]:
    for path, chances in zip(images, model.predict_proba(list(images.values())), strict=True):
        yield [path, model.classes[chances.argmax()], *chances.tolist()]


def _read(path: Path, side: int) -> Any:
    """An image; None, and a line that says why, where it cannot be read."""
    try:
        return read_picture(path.read_bytes(), near=side)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"predict.py: {path}: {error}\n")
        return None


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Tells the class of images.")
    parser.add_argument("images", type=Path, nargs="+", help="image files, or folders of them")
    parser.add_argument("-o", "--output", type=Path, help="file to write; standard output when absent")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
