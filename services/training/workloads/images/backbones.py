"""Finds trained networks to start from, in the places that whoever runs the service has named."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from services.training.domain import errors

# Folder with a folder for each backbone; the service sets it for its workers.
VARIABLE = "MODELYARD_BACKBONES_DIR"
# Packages bring a backbone as an entry point that is called without arguments and answers with its folder.
GROUP = "modelyard.backbones"
NEEDED = ("config.json", "model.safetensors")

# How networks are commonly shown images, where nothing says otherwise: ImageNet's mean and deviation of each colour.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
USUAL_SIDE, MOST_SIDE = 224, 1024


@dataclass(frozen=True)
class Backbone:
    """A trained network: its name, its folder, and how it is shown images."""

    name: str
    folder: Path
    side: int
    mean: Sequence[float]
    deviation: Sequence[float]


def find_backbone(name: str) -> Backbone:
    """The backbone of a name. BadBackbone where there is none, or it is not as it has to be."""
    folders = _folders()
    if name not in folders:
        raise unfit(name, "there is none of that name here")
    folder = folders[name]
    config, shown = _read(folder / "config.json"), _read(folder / "preprocessor_config.json")
    return Backbone(
        name,
        folder,
        _side(shown.get("crop_size") or shown.get("size") or config.get("image_size")),
        _colours(shown.get("image_mean"), MEAN),
        _colours(shown.get("image_std"), DEVIATION),
    )


def unfit(name: str, trouble: str) -> errors.BadBackbone:
    """Why a backbone cannot be used, and what there is."""
    return errors.BadBackbone(name=name, trouble=trouble, known=", ".join(sorted(_folders())) or "none")


def _folders() -> dict[str, Path]:
    """What is here, by name; a folder of ours goes before one of a package."""
    found = {point.name: Path(point.load()()) for point in entry_points(group=GROUP)}
    root = os.environ.get(VARIABLE, "")
    if root and Path(root).is_dir():
        found |= {path.name: path for path in Path(root).iterdir() if path.is_dir()}
    return {name: path for name, path in found.items() if all((path / needed).is_file() for needed in NEEDED)}


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise unfit(path.parent.name, f"{path.name} is no JSON") from error
    return values if isinstance(values, dict) else {}


def _side(size: Any) -> int:
    """Pixels a side, from what configurations call a size: a number, a list of two, or sides by name."""
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge")
    if isinstance(size, list) and size:
        size = size[0]
    return size if isinstance(size, int) and 16 <= size <= MOST_SIDE else USUAL_SIDE


def _colours(values: Any, otherwise: Sequence[float]) -> Sequence[float]:
    sound = isinstance(values, list) and len(values) == 3 and all(isinstance(value, int | float) for value in values)
    return tuple(map(float, values)) if sound and any(values) else otherwise
