"""Varies images, and their boxes with them, so that the network does not learn them by heart."""

import torch
from torch import Tensor
from torch.nn import functional

from services.training.workloads.detection.targets import Boxed

LEAST_SCALE, MOST_SCALE = 0.8, 1.25
MOST_SHIFT = 0.1
MOST_LIGHT = 0.2
# Of a box that is cut off by the border, so much has to be left for the thing to be looked for.
LEAST_LEFT = 0.35
LEAST_SIDE = 2.0


def vary(images: Tensor, boxed: list[Boxed], chance: torch.Generator) -> tuple[Tensor, list[Boxed]]:
    """Images N × 3 × H × W, 0 to 1, mirrored, scaled, shifted, lighter or darker, of other tints."""
    count, (height, width) = len(images), images.shape[-2:]
    mirrored = torch.where(torch.rand(count, generator=chance) < 0.5, -1.0, 1.0)
    scales = LEAST_SCALE + torch.rand(count, generator=chance) * (MOST_SCALE - LEAST_SCALE)
    shifts = (torch.rand(count, 2, generator=chance) * 2 - 1) * MOST_SHIFT
    moved = [
        _move(one, bool(mirror < 0), float(scale), shift, (width, height))
        for one, mirror, scale, shift in zip(boxed, mirrored, scales, shifts, strict=True)
    ]
    return _tint(_resample(images, mirrored, scales, shifts), chance), moved


def _resample(images: Tensor, mirrored: Tensor, scales: Tensor, shifts: Tensor) -> Tensor:
    """Each image scaled about its middle and shifted by a share of its half side; what comes in is grey."""
    turns = torch.zeros(len(images), 2, 3)
    turns[:, 0, 0], turns[:, 1, 1] = mirrored / scales, 1 / scales
    turns[:, 0, 2], turns[:, 1, 2] = -shifts[:, 0] * mirrored / scales, -shifts[:, 1] / scales
    grid = functional.affine_grid(turns, list(images.shape), align_corners=False).to(images.device)
    return functional.grid_sample(images - 0.45, grid, align_corners=False) + 0.45


def _move(boxed: Boxed, mirror: bool, scale: float, shift: Tensor, size: tuple[int, int]) -> Boxed:
    """Where the boxes are then; those that are cut off too much are gone."""
    sides = torch.tensor([*size, *size], dtype=torch.float32)
    boxes = boxed.boxes
    if mirror:
        boxes = torch.stack([size[0] - boxes[:, 2], boxes[:, 1], size[0] - boxes[:, 0], boxes[:, 3]], -1)
    boxes = (boxes - sides / 2) * scale + sides / 2 * (1 + shift.repeat(2))
    inside = boxes.clamp(min=0).minimum(sides)
    left = (inside[:, 2:] - inside[:, :2]).prod(-1) / (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    kept = (left >= LEAST_LEFT) & ((inside[:, 2:] - inside[:, :2]) >= LEAST_SIDE).all(-1)
    return Boxed(inside[kept], boxed.classes[kept], boxed.crowd[kept])


def _tint(images: Tensor, chance: torch.Generator) -> Tensor:
    count = len(images)
    light = (torch.rand(count, 3, 1, 1, generator=chance) * 2 - 1) * MOST_LIGHT / 2
    light = light + (torch.rand(count, 1, 1, 1, generator=chance) * 2 - 1) * MOST_LIGHT / 2
    contrast = 1 + (torch.rand(count, 1, 1, 1, generator=chance) * 2 - 1) * MOST_LIGHT
    return ((images - 0.5) * contrast.to(images.device) + 0.5 + light.to(images.device)).clamp(0, 1)
