"""Trains the network: the learning rate rises, then falls to nothing; the best epoch on the validation images stays."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from services.training.domain.errors import LossDiverged
from services.training.workloads.detection.case import Case
from services.training.workloads.detection.measuring import LEAST_SCORE, Answer, Measured, Truth, measure
from services.training.workloads.detection.pace import Pace
from services.training.workloads.detection.reading import Pictures
from services.training.workloads.detection.targets import Boxed, aim, box_loss, centre_loss
from services.training.workloads.detection.templates.load_model import CentreDetector, Config, Detector, spread
from services.training.workloads.detection.varying import vary
from services.training.workloads.kit.splitting import Rows
from services.training.workloads.kit.telling import Telling
from services.training.workloads.kit.torching import Precision, pick_device

CHANNELS = 24
BOX_WEIGHT = 5.0
WARM_SHARE, LEAST_RATE = 0.1, 0.01
MOST_GRADIENT = 10.0
# What a cell says before it has learned anything: hardly any is the centre of a thing.
EMPTY_LOGIT = -4.0

# Where the number of epochs is settled by the data: so that so many images are seen in all.
IMAGES_SEEN, LEAST_EPOCHS, MOST_EPOCHS = 6_000, 10, 150
# Images on which an epoch is judged; more tell hardly more.
MOST_WATCHED = 500
# Until the learning rate has fallen to this share, an epoch tells little of the next.
SETTLED_SHARE = 0.5


@dataclass
class Learned:
    """A network that has learned, and how it did."""

    detector: Detector
    parameter_count: int
    epochs: int
    best_epoch: int
    validation: dict[str, float]
    """What the best epoch reached on the validation images; empty where there were none."""
    seconds: float
    gained_epoch: int = 0
    """The last that was better than all before it."""
    curve: list[dict[str, float]] = field(default_factory=list)


class Learner:
    """One training."""

    def __init__(self, case: Case, pictures: Pictures, telling: Telling) -> None:
        self._case = case
        self._pictures = pictures
        self._telling = telling
        self._device = pick_device()
        self._precision = Precision(self._device, case.parameters.mixed_precision)
        self._chance = torch.Generator().manual_seed(case.parameters.seed)
        self._boxed = [self._boxed_at(place) for place in range(len(pictures.boxes))]
        self._network = self._new_network()
        self._optimiser = torch.optim.AdamW(self._network.parameters(), case.parameters.learning_rate)
        self._pace = Pace(case.parameters.time_limit)

    def learn(self) -> Learned:
        """Learn for as many epochs as there are, or until nothing is gained any more. Raises LossDiverged."""
        epochs = self._epochs()
        learned = Learned(self._detector(), 0, 0, 0, {}, 0.0)
        learned.parameter_count = sum(each.numel() for each in self._network.parameters())
        best = copy.deepcopy(self._network.state_dict())
        for epoch in range(1, epochs + 1):
            loss = self._learn_epoch(epoch, epochs)
            if not (math.isfinite(loss) and self._is_sound()):
                raise LossDiverged
            with self._pace.measuring("validation", epochs):
                reached = self._validate(epoch, loss, learned)
            if self._rank(reached) > self._rank(learned.validation):
                learned.gained_epoch = epoch
            if self._rank(reached) >= self._rank(learned.validation):  # of equals the later, which has learned more
                learned.best_epoch, learned.validation = epoch, reached
                best = copy.deepcopy(self._network.state_dict())
            learned.epochs = epoch
            if self._is_enough(epoch, epochs, learned):
                break
        self._network.load_state_dict(best)
        learned.seconds = self._pace.seconds
        return learned

    def _is_sound(self) -> bool:
        """Whether every weight is a number: boxes that are none would be measured as if they were right."""
        return all(bool(weight.isfinite().all()) for weight in self._network.state_dict().values())

    def _epochs(self) -> int:
        wanted = math.ceil(IMAGES_SEEN / len(self._case.parts.train))
        return self._case.parameters.epochs or max(LEAST_EPOCHS, min(MOST_EPOCHS, wanted))

    def _rank(self, reached: dict[str, float]) -> tuple[float, float]:
        """By the metric that was asked for; among equals by the other."""
        chosen = self._case.parameters.eval_metric
        other = "map" if chosen == "map_50" else "map_50"
        return reached.get(chosen, -1.0), reached.get(other, -1.0)

    def _is_enough(self, epoch: int, epochs: int, learned: Learned) -> bool:
        if self._pace.passed(epoch / epochs) >= 1:
            return True
        patience = self._case.parameters.patience
        settled = self._rate(self._pace.passed(epoch / epochs)) <= SETTLED_SHARE and epoch > epochs * WARM_SHARE
        return bool(patience and settled and learned.validation and epoch - learned.gained_epoch >= patience)

    @staticmethod
    def _rate(passed: float) -> float:
        """The learning rate at that point, as a share of the largest."""
        if passed < WARM_SHARE:
            return max(LEAST_RATE, passed / WARM_SHARE)
        falling = 0.5 * (1 + math.cos(math.pi * min(1.0, (passed - WARM_SHARE) / (1 - WARM_SHARE))))
        return max(LEAST_RATE, falling)

    def _learn_epoch(self, epoch: int, epochs: int) -> float:
        """The mean loss of its batches."""
        losses: list[float] = []
        self._network.train()
        batches = list(self._batches())
        for number, rows in enumerate(batches):
            share = (epoch - 1 + number / len(batches)) / epochs
            if losses and self._pace.passed(share) >= 1:
                break
            rate = self._rate(self._pace.passed(share)) * self._case.parameters.learning_rate
            for group in self._optimiser.param_groups:
                group["lr"] = rate
            with self._pace.measuring("step", epochs * len(batches)):
                losses.append(self._step(rows))
            message = f"Epoch {epoch} of {epochs}, batch {number + 1} of {len(batches)}"
            self._telling.train(self._pace.passed((epoch - 1 + (number + 1) / len(batches)) / epochs), message)
        return float(np.mean(losses))

    def _batches(self) -> Iterator[Rows]:
        """The images to learn from in a new order. One that is left alone joins the others of the last batch: there
        is nothing to be normalised by in it."""
        train, size = self._case.parts.train, self._case.parameters.batch_size
        order = train[torch.randperm(len(train), generator=self._chance).numpy()]
        count = max(1, math.ceil(len(order) / size) if len(order) % size > 1 else len(order) // size)
        yield from np.array_split(order, count)

    def _step(self, rows: Rows) -> float:
        images, boxed = self._load(rows), [self._boxed[row] for row in rows]
        if self._case.parameters.augment:
            images, boxed = vary(images, boxed, self._chance)
        stride, (height, width) = self._case.stride, images.shape[-2:]
        targets = aim(boxed, len(self._case.listing.classes), stride, height // stride, width // stride)
        targets = targets.to(self._device)
        with self._precision.forward():
            logits, reach = self._network(images.contiguous(memory_format=torch.channels_last))
        # Small differences of boxes are lost in 16 bits.
        logits, reach = logits.float(), reach.float()
        loss = centre_loss(logits, targets) + BOX_WEIGHT * box_loss(spread(reach, stride), targets)
        self._precision.step(loss, self._optimiser, MOST_GRADIENT)
        return float(loss.detach())

    def _load(self, rows: Rows) -> Tensor:
        images = torch.from_numpy(self._pictures.canvases[rows]).to(self._device)
        return images.permute(0, 3, 1, 2).float() / 255

    def _boxed_at(self, place: int) -> Boxed:
        boxes = torch.from_numpy((self._pictures.boxes[place] * self._pictures.scales[place]).astype(np.float32))
        image = self._case.listing.images[place]
        return Boxed(boxes, torch.from_numpy(image.classes), torch.from_numpy(image.crowd))

    def _new_network(self) -> CentreDetector:
        network = CentreDetector(len(self._case.listing.classes), self._case.stride, CHANNELS)
        _fill(network.centre, EMPTY_LOGIT)
        boxes = torch.cat([self._boxed[row].boxes for row in self._case.parts.train])
        usual = float(((boxes[:, 2:] - boxes[:, :2]).prod(-1).sqrt() / 2).median())
        _fill(network.reach, math.log(max(usual, 1.0) / self._case.stride))
        # Both sides of a convolution in the order that processors are fastest with.
        for each in network.parameters():
            if each.ndim == 4:
                each.data = each.data.contiguous(memory_format=torch.channels_last)
        return network.to(self._device)

    def _detector(self) -> Detector:
        parameters = self._case.parameters
        config = Config(
            self._case.listing.classes, self._case.width, self._case.height, self._case.stride, CHANNELS,
            parameters.score_threshold, parameters.iou_threshold,
        )  # fmt: skip
        return Detector(self._network, config, self._device.type)

    def _validate(self, epoch: int, loss: float, learned: Learned) -> dict[str, float]:
        """Tell how an epoch went; what it reached on the validation images."""
        watched = self._case.parts.validation[:MOST_WATCHED]
        reached = evaluate(self._detector(), self._case, self._pictures, watched)[0].metrics if len(watched) else {}
        self._telling.metric("loss", loss, epoch, "train")
        for name in ("map_50", "map"):
            if name in reached:
                self._telling.metric(name, reached[name], epoch, "validation")
        told: dict[str, Any] = {"epoch": epoch, "loss": loss, **{name: reached[name] for name in reached}}
        learned.curve.append(told)
        return reached


def _fill(layer: torch.nn.Conv2d, value: float) -> None:
    if layer.bias is not None:
        torch.nn.init.constant_(layer.bias, value)


def evaluate(detector: Detector, case: Case, pictures: Pictures, rows: Rows) -> tuple[Measured, list[Answer]]:
    """Measure a detector on some images, in pixels of the images as they are; and what it answered for each."""
    truths, answers = [], []
    for start in range(0, len(rows), case.parameters.batch_size):
        batch = rows[start : start + case.parameters.batch_size]
        found = detector.detect_in(pictures.canvases[batch], LEAST_SCORE)
        for row, (scores, classes, boxes) in zip(batch, found, strict=True):
            image = case.listing.images[row]
            truths.append(Truth(pictures.boxes[row], image.classes, image.crowd))
            sides = [*pictures.sizes[row], *pictures.sizes[row]]
            answers.append(Answer(scores, classes, np.clip(boxes / pictures.scales[row], 0, sides)))
    return measure(truths, answers, len(case.listing.classes)), answers
