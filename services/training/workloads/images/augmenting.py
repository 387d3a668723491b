"""Shows images a little differently each time, so that a network learns what they have in common."""

import math

import torch
from torch import Tensor
from torch.nn import functional

TURN = math.radians(12)
SCALE = 0.12
SHIFT = 0.2  # of half a side
BRIGHTNESS, CONTRAST = 0.1, 0.2


def varied(images: Tensor, mirrored: bool, chance: torch.Generator) -> Tensor:
    """Images (n × 3 × side × side, normalized) shifted, turned, scaled, brightened; with mirrored every other swapped.

    The places that come from outside of an image repeat its edge. Chance is drawn on the CPU, so that a seed means
    the same everywhere.
    """
    count = len(images)
    turn, scale, *shift = (_between(count, most, chance) for most in (TURN, SCALE, SHIFT, SHIFT))
    sign = 1 - 2 * (torch.rand(count, generator=chance) < 0.5).float() if mirrored else torch.ones(count)
    zoom = 1 + scale
    rows = [
        torch.stack([sign * zoom * turn.cos(), -zoom * turn.sin(), shift[0]], dim=1),
        torch.stack([sign * zoom * turn.sin(), zoom * turn.cos(), shift[1]], dim=1),
    ]
    matrices = torch.stack(rows, dim=1).to(images.device)
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return moved * (1 + _each(count, CONTRAST, chance, moved)) + _each(count, BRIGHTNESS, chance, moved)


def _each(count: int, most: float, chance: torch.Generator, like: Tensor) -> Tensor:
    return _between(count, most, chance).view(-1, 1, 1, 1).to(like.device)


def _between(count: int, most: float, chance: torch.Generator) -> Tensor:
    return (torch.rand(count, generator=chance) * 2 - 1) * most
