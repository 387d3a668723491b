"""Makes the network that is to learn."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from services.training.workloads.images.backbones import Backbone, unfit
from services.training.workloads.images.templates.load_model import Logits, SmallConvNet

WIDTHS = (16, 32, 64, 128, 256, 256)
# Up to this side an image is halved by every stage but the first; beyond, the first halves it, too.
LARGE_SIDE = 96
LAST_SIDE = 8
SCRATCH_RATE, FINE_RATE, HEAD_RATE = 4e-3, 3e-4, 4e-3

# What a library raises for a folder that does not hold what it should.
UNFIT = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError, SafetensorError)


@dataclass(frozen=True)
class Made:
    """A network that is to learn: what the package says of it, its name, and a learning rate that suits it."""

    network: nn.Module
    description: dict[str, Any]
    name: str
    learning_rate: float
    frozen: nn.Module | None = None
    """The part that does not learn."""

    @property
    def learning(self) -> Iterator[nn.Parameter]:
        """What is corrected."""
        return (weight for weight in self.network.parameters() if weight.requires_grad)

    def save(self, folder: Path) -> None:
        """Write description and weights to a folder; no code, and nothing that runs any."""
        from safetensors.torch import save_model

        (folder / "model.json").write_text(json.dumps(self.description, indent=2), encoding="utf-8")
        if isinstance(self.network, Logits):
            self.network.network.config.save_pretrained(folder)  # type: ignore[union-attr, operator]
        save_model(self.network, str(folder / "weights.safetensors"))


def make_small(classes: int, side: int) -> Made:
    """A small network that knows nothing yet, with as many stages as it takes to see an image as a whole."""
    stride = 2 if side >= LARGE_SIDE else 1
    stages, left = 0, side // stride
    while left > LAST_SIDE and stages < len(WIDTHS) - 1:
        stages, left = stages + 1, left // 2
    widths = WIDTHS[: stages + 1]
    half = [0.5, 0.5, 0.5]
    description = {
        "network": "SmallConvNet", "image_size": side, "mean": half, "deviation": half,
        "widths": list(widths), "early_stride": stride,
    }  # fmt: skip
    return Made(SmallConvNet(classes, widths, stride), description, "SmallConvNet", SCRATCH_RATE)


def make_from(backbone: Backbone, classes: int, side: int, freeze: bool) -> Made:
    """A trained network with a new last layer. BadBackbone where transformers cannot make one of its folder."""
    network = _load(backbone, classes)
    body = getattr(network, network.base_model_prefix, None) if freeze else None
    if freeze and not isinstance(body, nn.Module):
        raise unfit(backbone.name, "it has no part that could be frozen")
    if body is not None:
        body.requires_grad_(False)
    name = type(network).__name__
    description = {
        "network": name, "image_size": side, "mean": list(backbone.mean), "deviation": list(backbone.deviation),
    }  # fmt: skip
    return Made(Logits(network), description, name, HEAD_RATE if freeze else FINE_RATE, body)


def _load(backbone: Backbone, classes: int) -> Any:
    os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers import AutoModelForImageClassification

    try:
        return AutoModelForImageClassification.from_pretrained(
            backbone.folder,
            num_labels=classes,
            ignore_mismatched_sizes=True,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
        )
    except UNFIT as error:
        trouble = f"transformers cannot make a classifier of it ({' '.join(str(error).split())[:200]})"
        raise unfit(backbone.name, trouble) from error
