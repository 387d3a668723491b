"""Where a network is trained: on a graphics processor where there is one, with every chance settled by the seed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Device:
    """Where to train, and whether in mixed precision, which only a graphics processor gains by."""

    name: str
    mixed: bool

    @classmethod
    def best(cls, mixed_precision: bool) -> "Device":
        """The best there is."""
        name = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(name, mixed_precision and name == "cuda")

    @contextmanager
    def precision(self) -> Iterator[None]:
        """In the block, what bears it is computed with half of the bits."""
        with torch.autocast("cuda", torch.bfloat16 if torch.cuda.is_available() else None, enabled=self.mixed):
            yield


def settle_chances(seed: int) -> None:
    """From now on everything random in torch follows from the seed, and what can be computed in one order is."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
