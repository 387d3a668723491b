"""What trainings by torch share: the device, chance, and precision. Imported in the worker only."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def pick_device() -> torch.device:
    """The graphics processor where there is one that torch can use, the processor otherwise."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Settle every chance for the block: the same seed, data, machine and number of threads give the same weights."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS takes liberties
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


class Precision:
    """Computes forward in 16 bits where the device is made for it, and keeps small gradients from vanishing."""

    def __init__(self, device: torch.device, mixed: bool) -> None:
        self._device = device
        self._mixed = mixed and device.type == "cuda"
        wide = self._mixed and torch.cuda.is_bf16_supported()
        self._kind = torch.bfloat16 if wide else torch.float16
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._mixed and not wide)
        self.name = str(self._kind if self._mixed else torch.float32).removeprefix("torch.")

    def forward(self) -> torch.autocast:
        """The block in which a forward pass and its loss are computed."""
        return torch.autocast(self._device.type, self._kind, enabled=self._mixed)

    def step(self, loss: torch.Tensor, optimizer: torch.optim.Optimizer, most_norm: float = 1.0) -> None:
        """Correct weights by a loss; gradients that are longer in all are cut to most_norm."""
        optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.unscale_(optimizer)
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        torch.nn.utils.clip_grad_norm_(weights, most_norm)
        self._scaler.step(optimizer)
        self._scaler.update()
