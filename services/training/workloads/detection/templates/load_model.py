"""Loads the detector of this folder. It needs the libraries of requirements.txt and nothing else.

    from load_model import load
    from pictures import read_picture

    model = load()
    for found in model.detect(read_picture(path.read_bytes())):
        found.label, found.score, found.box      # x_min, y_min, x_max, y_max in pixels of the upright image

Everything else is in manifest.json. The weights are safetensors: loading them runs no code.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn import functional

HERE = Path(__file__).resolve().parent
GROUND = 114  # what surrounds an image that does not fill its canvas
LARGEST = 8.0  # bound of the exponent that gives a distance, so that no box becomes infinite
COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#800000")

Boxes = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Config:
    """What a network was built and is used with; sizes in pixels."""

    classes: list[str]
    image_width: int
    image_height: int
    stride: int
    channels: int
    score_threshold: float
    iou_threshold: float
    most: int = 100
    """Most things that are found in one image."""


@dataclass(frozen=True)
class Found:
    """One thing in an image: its class and place among the classes, how sure the model is, and its box in pixels."""

    label: str
    class_index: int
    score: float
    box: tuple[float, float, float, float]


def _convolve(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Stage(nn.Module):
    """Halves the resolution, then looks once more at what it has."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.shrink = _convolve(inputs, outputs, 2)
        self.look = nn.Sequential(
            _convolve(outputs, outputs),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Features at half the resolution."""
        shrunk = self.shrink(images)
        return functional.relu(shrunk + self.look(shrunk))


class CentreDetector(nn.Module):
    """Says of every cell of a grid how much it is the centre of a thing of each class, and how far its box reaches
    to the left, top, right and bottom. What is coarse and has seen much is added to what is fine and has seen little.
    """

    def __init__(self, classes: int, stride: int, channels: int) -> None:
        super().__init__()
        widths = [channels // 2, channels, channels * 2, channels * 3, channels * 3]
        self.stride = stride
        self.stem = _convolve(3, widths[0], 2)
        self.stages = nn.ModuleList(Stage(*pair) for pair in pairwise(widths))
        self.skipped = 0 if stride == 4 else 1
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths[1 + self.skipped :])
        self.centre_head = _convolve(channels, channels + channels // 2)
        self.centre = nn.Conv2d(channels + channels // 2, classes, 1)
        self.reach_head = _convolve(channels, channels)
        self.reach = nn.Conv2d(channels, 4, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Of images N × 3 × H × W, 0 to 1: logits of centres N × classes × h × w, and reaches in pixels N × 4 × h × w.

        H and W are multiples of 32; h and w are those divided by the stride."""
        features = self.stem((images - 0.5) / 0.25)
        levels = []
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        used = [lateral(level) for lateral, level in zip(self.laterals, levels[self.skipped :], strict=True)]
        seen = used.pop()
        while used:
            finer = used.pop()
            seen = finer + functional.interpolate(seen, size=finer.shape[-2:])
        seen = functional.relu(seen)
        reach = self.reach(self.reach_head(seen)).float().clamp(max=LARGEST).exp() * self.stride
        return self.centre(self.centre_head(seen)).float(), reach


def fit_in(image: Image.Image, width: int, height: int) -> tuple[npt.NDArray[np.uint8], float]:
    """An image on a canvas, at its top left, as large as fits, height × width × 3; and by how much it was scaled."""
    scale = min(width / image.width, height / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    canvas = np.full((height, width, 3), GROUND, np.uint8)
    canvas[: size[1], : size[0]] = np.asarray(image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    return canvas, scale


def spread(reach: Tensor, stride: int) -> Tensor:
    """Boxes N × h × w × 4 (x_min, y_min, x_max, y_max), in pixels of the canvas, from how far they reach."""
    rows, columns = (torch.arange(count, device=reach.device) for count in reach.shape[-2:])
    y = (rows[:, None] + 0.5) * stride
    x = (columns[None, :] + 0.5) * stride
    left, top, right, bottom = reach.unbind(1)
    return torch.stack([x - left, y - top, x + right, y + bottom], -1)


def overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of each box with each other, n × m."""
    low = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = (high - low).clamp(min=0).prod(-1)
    areas, other_areas = ((each[:, 2:] - each[:, :2]).clamp(min=0).prod(-1) for each in (boxes, others))
    return common / (areas[:, None] + other_areas[None, :] - common).clamp(min=1e-6)


def suppress(boxes: Tensor, labels: Tensor, limit: float) -> Tensor:
    """Which of some boxes, best first, stay when each drives out later ones of its class that overlap it by more."""
    rivals = (overlaps(boxes, boxes) > limit) & (labels[:, None] == labels[None, :])
    kept = torch.ones(len(boxes), dtype=torch.bool)
    for place, row in enumerate(rivals):
        if kept[place]:
            kept[place + 1 :] &= ~row[place + 1 :]
    return kept


class Detector:
    """A network and how its answers are read."""

    def __init__(self, network: CentreDetector, config: Config, device: str = "cpu") -> None:
        self.config = config
        self.device = device
        self._network = network.to(device)

    def weights(self) -> dict[str, Tensor]:
        """The network's, by name."""
        return dict(self._network.state_dict())

    def detect(self, image: Image.Image, score_threshold: float | None = None) -> list[Found]:
        """What is in an RGB image, best first; with a threshold of its own, or the model's."""
        canvas, scale = fit_in(image, self.config.image_width, self.config.image_height)
        threshold = self.config.score_threshold if score_threshold is None else score_threshold
        scores, labels, boxes = self.detect_in(canvas[None], threshold)[0]
        boxes = np.clip(boxes / scale, 0, [image.width, image.height] * 2)
        return [
            Found(self.config.classes[label], int(label), float(score), (float(a), float(b), float(c), float(d)))
            for score, label, (a, b, c, d) in zip(scores, labels, boxes, strict=True)
        ]

    def detect_in(
        self, canvases: npt.NDArray[np.uint8], score_threshold: float
    ) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], Boxes]]:
        """Of canvases n × height × width × 3, each one's scores, classes and boxes, in pixels of the canvas."""
        images = torch.from_numpy(np.ascontiguousarray(canvases)).to(self.device).permute(0, 3, 1, 2)
        self._network.eval()  # a network that is still learning would be changed by what it looks at
        with torch.inference_mode():
            logits, reach = self._network(images.float() / 255)
            peaks = functional.max_pool2d(logits, 3, 1, 1) == logits
            scores = torch.where(peaks, logits.sigmoid(), 0).flatten(1).cpu()
            boxes = spread(reach, self.config.stride).flatten(1, 2).cpu()
            return [self._pick(*pair, score_threshold) for pair in zip(scores, boxes, strict=True)]

    def _pick(
        self, scores: Tensor, boxes: Tensor, threshold: float
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], Boxes]:
        best, places = scores.topk(min(self.config.most, len(scores)))
        places, best = places[best >= threshold], best[best >= threshold]
        labels, cells = places // len(boxes), places % len(boxes)
        kept = suppress(boxes[cells], labels, self.config.iou_threshold)
        return best[kept].numpy(), labels[kept].numpy(), boxes[cells][kept].numpy()


def load(folder: Path | str = HERE) -> Detector:
    """Check every file against the manifest, then load the model. A ValueError where a file is not what it was."""
    folder = Path(folder)
    verify(folder, json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
    return load_unchecked(folder)


def load_unchecked(folder: Path) -> Detector:
    """Load the model of a folder whose files were checked; on a graphics processor where there is one."""
    from safetensors.torch import load_file

    config = Config(**json.loads((folder / "model" / "config.json").read_text(encoding="utf-8")))
    network = CentreDetector(len(config.classes), config.stride, config.channels)
    network.load_state_dict(load_file(folder / "model" / "weights.safetensors"))
    return Detector(network, config, "cuda" if torch.cuda.is_available() else "cpu")


def verify(folder: Path, manifest: dict[str, Any]) -> None:
    """Compare the SHA-256 of each file with the manifest; a ValueError names the first that differs."""
    for name, expected in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise ValueError(f"{name} is missing from this package; unpack it again")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != expected["sha256"]:
            raise ValueError(f"{name} is not the file that was packaged: its SHA-256 differs; unpack the package again")


def draw(image: Image.Image, found: Sequence[Found], scores: bool = True) -> Image.Image:
    """A copy of an image with the boxes of what was found, and their classes and scores, drawn into it."""
    drawn = image.copy()
    pen = ImageDraw.Draw(drawn)
    thick = max(1, round(max(image.size) / 200))
    for one in reversed(found):  # the surest on top
        colour = COLOURS[one.class_index % len(COLOURS)]
        pen.rectangle(one.box, outline=colour, width=thick)
        words = f"{one.label} {one.score:.2f}" if scores else one.label
        _, _, width, height = pen.textbbox((0, 0), words)
        left, top = max(0, min(one.box[0], image.width - width)), max(0, one.box[1] - height)
        pen.rectangle((left, top, left + width, top + height), fill=colour)
        pen.text((left, top), words, fill="white")
    return drawn
