"""What the network should answer for images whose boxes are known, and how far off an answer is."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# How much of a box is its middle, where the network says how far the box reaches.
SPREAD = 0.54
FAR = 1e12


@dataclass(frozen=True)
class Boxed:
    """The boxes of one image, in pixels of the canvas: n × 4, their classes, and which of them stand for crowds."""

    boxes: Tensor
    classes: Tensor
    crowd: Tensor


@dataclass(frozen=True)
class Targets:
    """What should be answered: centres N × classes × h × w (1 at a centre, falling off around it), the boxes
    N × h × w × 4 and what each cell counts for them N × h × w, and where nothing is asked N × h × w."""

    centres: Tensor
    boxes: Tensor
    weights: Tensor
    ignored: Tensor

    def to(self, device: torch.device) -> "Targets":
        """The same on a device."""
        return Targets(*(each.to(device) for each in (self.centres, self.boxes, self.weights, self.ignored)))


def aim(images: list[Boxed], classes: int, stride: int, height: int, width: int) -> Targets:
    """The targets of some images on a grid of height × width cells."""
    count = len(images)
    targets = Targets(
        torch.zeros(count, classes, height, width),
        torch.zeros(count, height, width, 4),
        torch.zeros(count, height, width),
        torch.zeros(count, height, width, dtype=torch.bool),
    )
    for place, image in enumerate(images):
        _paint_crowds(image.boxes[image.crowd] / stride, targets.ignored[place])
        alone = ~image.crowd
        if alone.any():
            _paint(image.boxes[alone], image.classes[alone], stride, targets, place)
    return targets


def _paint_crowds(cells: Tensor, ignored: Tensor) -> None:
    for left, top, right, bottom in cells.tolist():
        ignored[int(top) : int(bottom) + 1, int(left) : int(right) + 1] = True


def _paint(boxes: Tensor, classes: Tensor, stride: int, targets: Targets, place: int) -> None:
    """Each box as a hill around its centre; where hills meet, the cell speaks for the smaller box."""
    height, width = targets.weights.shape[1:]
    middles = ((boxes[:, :2] + boxes[:, 2:]) / 2 / stride).long()
    sizes = (boxes[:, 2:] - boxes[:, :2]) / stride
    across = _hill(middles[:, 0].clamp(0, width - 1), sizes[:, 0], width)
    down = _hill(middles[:, 1].clamp(0, height - 1), sizes[:, 1], height)
    hills = down[:, :, None] * across[:, None, :]
    for label in sorted(set(classes.tolist())):
        targets.centres[place, label] = hills[classes == label].amax(0)
    areas = torch.where(hills > 0, sizes.prod(-1)[:, None, None], FAR)
    least, owners = areas.min(0)
    owned = least < FAR
    targets.boxes[place][owned] = boxes[owners[owned]]
    shares = hills / hills.sum((1, 2), keepdim=True)
    targets.weights[place] = shares.gather(0, owners[None])[0] * owned


def _hill(middles: Tensor, sizes: Tensor, count: int) -> Tensor:
    """Of each thing along one side: 1 in the cell of its middle, less around it, nothing beyond its inner part."""
    distances = torch.arange(count)[None, :] - middles[:, None]
    reach = (SPREAD * sizes / 2).clamp(min=0)[:, None]
    heights = torch.exp(-(distances**2) / (2 * (reach / 3 + 1 / 6) ** 2))
    return heights * (distances.abs() <= reach.floor())


def centre_loss(logits: Tensor, targets: Targets) -> Tensor:
    """Focal loss: cells near a centre count little, cells that are right already hardly at all. Per thing."""
    chances = logits.sigmoid().clamp(1e-4, 1 - 1e-4)
    hits = targets.centres == 1
    found = torch.where(hits, chances.log() * (1 - chances) ** 2, 0)
    false = torch.where(hits, 0, (1 - chances).log() * chances**2 * (1 - targets.centres) ** 4)
    false = false.masked_fill(targets.ignored[:, None], 0)
    return -(found.sum() + false.sum()) / hits.sum().clamp(min=1)


def box_loss(boxes: Tensor, targets: Targets) -> Tensor:
    """Generalised intersection over union, taken from 1; each thing counts the same, whatever its size."""
    counted = targets.weights > 0
    weights = targets.weights[counted]
    if not len(weights):
        return boxes.sum() * 0
    return (weights * (1 - _generalised(boxes[counted], targets.boxes[counted]))).sum() / weights.sum()


def _generalised(boxes: Tensor, others: Tensor) -> Tensor:
    common = _area(torch.maximum(boxes[:, :2], others[:, :2]), torch.minimum(boxes[:, 2:], others[:, 2:]))
    hull = _area(torch.minimum(boxes[:, :2], others[:, :2]), torch.maximum(boxes[:, 2:], others[:, 2:]))
    union = _area(boxes[:, :2], boxes[:, 2:]) + _area(others[:, :2], others[:, 2:]) - common
    return common / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)


def _area(low: Tensor, high: Tensor) -> Tensor:
    return functional.relu(high - low).prod(-1)
