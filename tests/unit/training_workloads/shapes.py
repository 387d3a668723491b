"""Draws what a detector can learn to find: circles, squares and triangles of many sizes and colours on noise."""

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

NAMES = ("circle", "square", "triangle")
MOST_OVERLAP = 0.2


@dataclass(frozen=True)
class Scene:
    """An image, and of each thing in it the class and the box x, y, width, height in pixels."""

    image: Image.Image
    things: list[tuple[int, tuple[float, float, float, float]]]


def draw_scene(
    random: np.random.Generator,
    sizes: tuple[int, int] = (128, 160),
    most: int = 5,
    shares: tuple[float, float] = (0.11, 0.36),
) -> Scene:
    """One to `most` shapes, some of them overlapping a little, on a noisy ground; their sides are shares of its own."""
    width, height = (int(random.integers(sizes[0], sizes[1] + 1)) for _ in range(2))
    noise = random.normal(random.uniform(60, 200, 3), random.uniform(5, 25), (height, width, 3))
    image = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
    pen, things = ImageDraw.Draw(image), []
    for _ in range(random.integers(1, most + 1)):
        kind, side = int(random.integers(3)), int(random.uniform(*shares) * min(width, height))
        x, y = int(random.integers(0, width - side)), int(random.integers(0, height - side))
        if all(_overlap((x, y, side, side), box) < MOST_OVERLAP for _, box in things):
            _draw_shape(pen, kind, (x, y, x + side - 1, y + side - 1), tuple(random.integers(0, 256, 3).tolist()))
            things.append((kind, (float(x), float(y), float(side), float(side))))
    return Scene(image, things)


def _overlap(box: Any, other: Any) -> float:
    wide = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    high = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    return max(0, wide) * max(0, high) / min(box[2] * box[3], other[2] * other[3])


def _draw_shape(pen: ImageDraw.ImageDraw, kind: int, box: tuple[int, int, int, int], colour: Any) -> None:
    left, top, right, bottom = box
    if kind == 0:
        pen.ellipse(box, fill=colour)
    elif kind == 1:
        pen.rectangle(box, fill=colour)
    else:
        pen.polygon([((left + right) / 2, top), (left, bottom), (right, bottom)], fill=colour)


def draw_scenes(count: int, seed: int = 0, **how: Any) -> list[Scene]:
    random = np.random.default_rng(seed)
    return [draw_scene(random, **how) for _ in range(count)]


def as_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def coco_of(scenes: list[Scene], first: int = 0) -> dict[str, Any]:
    """The annotations of some scenes as COCO has them; the images are named by number."""
    images, annotations = [], []
    for number, scene in enumerate(scenes, first):
        width, height = scene.image.size
        images.append({"id": number, "file_name": f"{number:04}.png", "width": width, "height": height})
        for kind, box in scene.things:
            place = len(annotations) + 1
            facts = {"id": place, "image_id": number, "category_id": kind + 1, "bbox": list(box), "iscrowd": 0}
            annotations.append(facts)
    categories = [{"id": place, "name": name} for place, name in enumerate(NAMES, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def pack(path: Path, files: dict[str, bytes | str]) -> Path:
    """A zip of files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def coco_files(scenes: list[Scene]) -> dict[str, bytes | str]:
    images = {f"images/{number:04}.png": as_png(scene.image) for number, scene in enumerate(scenes)}
    return {"annotations/instances.json": json.dumps(coco_of(scenes)), **images}


def yolo_line(scene: Scene, thing: tuple[int, tuple[float, float, float, float]]) -> str:
    kind, (x, y, wide, high) = thing
    width, height = scene.image.size
    shares = ((x + wide / 2) / width, (y + high / 2) / height, wide / width, high / height)
    return f"{kind} " + " ".join(f"{share:.6f}" for share in shares)


def yolo_files(scenes: list[Scene], part: str = "") -> dict[str, bytes | str]:
    files: dict[str, bytes | str] = {"data.yaml": "names: [circle, square, triangle]\n"}
    for number, scene in enumerate(scenes):
        name = f"{part}{number:04}"
        files[f"images/{name}.png"] = as_png(scene.image)
        files[f"labels/{name}.txt"] = "\n".join(yolo_line(scene, thing) for thing in scene.things)
    return files
