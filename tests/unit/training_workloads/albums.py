"""Makes archives of images."""

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("circle", "cross", "square")
EXIF_ORIENTATION = 0x0112


def encoded(image: Image.Image, format_: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def drawn(shape: str, random: np.random.Generator, side: int = 24) -> Image.Image:
    """A shape somewhere on noise."""
    image = Image.fromarray(random.integers(0, 80, (side, side, 3), dtype=np.uint8))
    draw, colour = ImageDraw.Draw(image), tuple(int(value) for value in random.integers(150, 256, 3))
    size = int(random.integers(side // 3, side // 2))
    left, top = (int(value) for value in random.integers(2, side - size - 2, 2))
    box = (left, top, left + size, top + size)
    if shape == "circle":
        draw.ellipse(box, fill=colour)
    elif shape == "square":
        draw.rectangle(box, fill=colour)
    else:
        draw.line(box, fill=colour, width=2)
        draw.line((left, top + size, left + size, top), fill=colour, width=2)
    return image


def shapes(count: int, classes: Iterable[str] = SHAPES, top: str = "", seed: int = 0) -> dict[str, bytes]:
    """So many images of each shape, by path."""
    random = np.random.default_rng(seed)
    return {f"{top}{shape}/{number}.png": encoded(drawn(shape, random)) for shape in classes for number in range(count)}


def zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def album(path: Path, files: dict[str, bytes]) -> Path:
    path.write_bytes(zipped(files))
    return path
