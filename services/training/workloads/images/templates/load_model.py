"""Loads the model of this folder. It needs the libraries of requirements.txt and nothing else.

    from load_model import load
    from pictures import read_picture

    model = load()
    images = [read_picture(path.read_bytes(), near=model.image_size) for path in paths]
    answers = model.predict(images)               # a list, one class an image
    chances = model.predict_proba(images)         # a numpy array, one column a class, in the order of model.classes

Everything else is in manifest.json. The weights are plain numbers (safetensors): loading them runs no code.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from safetensors.torch import load_model as load_weights
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
# Fills the sides of images that are not square.
GREY = (124, 116, 104)


class Model:
    """A trained model that takes images as `read_picture` gives them."""

    def __init__(self, description: dict[str, Any], classes: list[str], network: nn.Module) -> None:
        self.classes = classes
        self.image_size: int = description["image_size"]
        self.network = network
        self._mean = torch.tensor(description["mean"]).view(1, 3, 1, 1)
        self._deviation = torch.tensor(description["deviation"]).view(1, 3, 1, 1)

    def predict(self, images: Sequence[Image.Image]) -> list[str]:
        """The most likely class of each image."""
        return [self.classes[place] for place in self.predict_proba(images).argmax(axis=1)]

    def predict_proba(self, images: Sequence[Image.Image]) -> npt.NDArray[np.float64]:
        """The probability of each class for each image, as images × classes."""
        return self.chances(torch.from_numpy(np.stack([as_pixels(image, self.image_size) for image in images])))

    def chances(self, pixels: Tensor) -> npt.NDArray[np.float64]:
        """The same for pixels: bytes, images × 3 × side × side."""
        self.network.eval()
        with torch.inference_mode():
            told = self.network(self.normalized(pixels)).double().softmax(dim=1)
        chances: npt.NDArray[np.float64] = told.cpu().numpy()
        return chances

    def normalized(self, pixels: Tensor) -> Tensor:
        """Bytes as the numbers that the network takes, where the network is."""
        device = next(self.network.parameters()).device
        numbers = pixels.to(device).float() / 255
        return (numbers - self._mean.to(device)) / self._deviation.to(device)


def load(folder: Path | str = HERE) -> Model:
    """Check every file against the manifest, then load the model. A ValueError where a file is not what it was."""
    folder = Path(folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    verify(folder, manifest)
    return load_checked(folder, manifest)


def load_checked(folder: Path, manifest: dict[str, Any]) -> Model:
    """Load the model of a package whose files were checked."""
    description = json.loads((folder / "model" / "model.json").read_text(encoding="utf-8"))
    network = build(description, len(manifest["classes"]), folder / "model")
    load_weights(network, folder / "model" / "weights.safetensors")
    return Model(description, manifest["classes"], network.eval())


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


def as_pixels(image: Image.Image, side: int) -> npt.NDArray[np.uint8]:
    """An RGB image as bytes, 3 × side × side: scaled to fit, and centred on grey where it is not square."""
    scale = side / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    scaled = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    if width != height:
        ground = Image.new("RGB", (side, side), GREY)
        ground.paste(scaled, ((side - width) // 2, (side - height) // 2))
        scaled = ground
    return np.ascontiguousarray(np.asarray(scaled).transpose(2, 0, 1))


def build(description: dict[str, Any], classes: int, folder: Path) -> nn.Module:
    """The network of a description, without its weights; folder has the configuration of a network of transformers."""
    if description["network"] == "SmallConvNet":
        return SmallConvNet(classes, description["widths"], description["early_stride"])
    os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers import AutoConfig, AutoModelForImageClassification

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    make = AutoModelForImageClassification.from_config
    return Logits(make(config, trust_remote_code=False))  # type: ignore[no-untyped-call]


class Logits(nn.Module):
    """A network of transformers that answers with plain numbers."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Numbers that become probabilities, images × classes."""
        logits: Tensor = self.network(pixel_values=images).logits
        return logits


class SmallConvNet(nn.Module):
    """A small residual network: stages that halve the image and widen it, then the mean over what is left."""

    def __init__(self, classes: int, widths: Sequence[int], early_stride: int) -> None:
        super().__init__()
        stem = _convolution(3, widths[0], stride=early_stride)
        stages = [_Stage(before, after) for before, after in pairwise(widths)]
        self.features = nn.Sequential(stem, *stages)
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Numbers that become probabilities, images × classes."""
        seen: Tensor = self.features(images.contiguous(memory_format=torch.channels_last))
        told: Tensor = self.classifier(self.dropout(seen.mean(dim=(2, 3))))
        return told


class _Stage(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.narrow = nn.MaxPool2d(2)
        self.widen = _convolution(before, after)
        self.refine = nn.Sequential(
            _convolution(after, after), nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after)
        )

    def forward(self, images: Tensor) -> Tensor:
        seen = self.widen(self.narrow(images))
        return torch.relu(seen + self.refine(seen))


def _convolution(before: int, after: int, stride: int = 1) -> nn.Sequential:
    kernel = 3 if stride == 1 else 5
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )
