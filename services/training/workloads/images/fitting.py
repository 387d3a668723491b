"""Fits a network to images: epochs, validation, early stopping. The best weights are kept."""

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from services.training.domain import errors
from services.training.workloads.images.augmenting import varied
from services.training.workloads.images.case import Case
from services.training.workloads.images.networks import Made
from services.training.workloads.images.templates.load_model import Model
from services.training.workloads.kit.pixels import Pixels
from services.training.workloads.kit.splitting import Rows
from services.training.workloads.kit.telling import Telling
from services.training.workloads.kit.torching import Precision, pick_device

WARM_UP = 0.2  # the share of all steps in which the learning rate rises
FIRST_SHARE = 0.04
WEIGHT_DECAY = 0.02
MEMORY = 0.98  # of a running mean of weights, of the last 50 steps, about
MEASURED_AT_ONCE = 256
TELL_SECONDS = 0.5


@dataclass
class Curve:
    """Loss and accuracy of each epoch, and why no more followed."""

    train_loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    best_epoch: int = 0
    ended_by: str = "epochs"

    def as_columns(self) -> dict[str, list[float]]:
        """For charts: a list a line, and the epochs, from 1."""
        lines = {name: values for name, values in vars(self).items() if isinstance(values, list)}
        return {"epoch": list(range(1, len(self.train_loss) + 1)), **lines}


class RunningMean:
    """The mean of a network's weights over its last steps: it does better than the weights themselves, and from one
    epoch to the next it does not jump, so that the best epoch is not the luckiest."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._steps = 0
        self.weights = copy.deepcopy(network.state_dict())

    def follow(self) -> None:
        """Take in the weights after a step."""
        self._steps += 1
        share = 1 - min(MEMORY, self._steps / (self._steps + 10))
        for name, now in self._network.state_dict().items():
            if now.is_floating_point():
                self.weights[name].lerp_(now, share)
            else:
                self.weights[name].copy_(now)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """For the block the network has the mean of its weights."""
        weights = copy.deepcopy(self._network.state_dict())
        self._network.load_state_dict(self.weights)
        try:
            yield
        finally:
            self._network.load_state_dict(weights)


class Fit:
    """One training of a network."""

    def __init__(self, case: Case, made: Made, pixels: Pixels, telling: Telling) -> None:
        self._case = case
        self._made = made
        self._pixels = pixels
        self._telling = telling
        self._labels = torch.from_numpy(case.labels)
        self.device = pick_device()
        self.precision = Precision(self.device, case.parameters.mixed_precision)
        self.model = Model(made.description, case.classes, made.network.to(self.device))
        self.curve = Curve()
        self._chance = torch.Generator().manual_seed(case.parameters.seed)
        # None of a single image, of which some layers could not tell the mean and the deviation.
        learned = len(case.parts.train)
        self._steps = max(1, min(math.ceil(learned / case.batch_size), learned // 2))
        rate = case.parameters.learning_rate or made.learning_rate
        self._optimizer = torch.optim.AdamW(made.learning, lr=rate, weight_decay=WEIGHT_DECAY)
        total = self._steps * case.epochs
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, lambda step: pace(step, total))
        self._deadline = time.monotonic() + case.parameters.time_limit
        self._told = 0.0
        self._least = math.inf

    def run(self) -> Curve:
        """Fit until the epochs are over, validation no longer gets better, or time is up; take the best weights."""
        mean = RunningMean(self._made.network)
        best = mean.weights
        for epoch in range(1, self._case.epochs + 1):
            self._learn(epoch, mean)
            with mean.in_place():
                self._validate(epoch)
            if self.curve.best_epoch == epoch:
                best = copy.deepcopy(mean.weights)
            if self._is_over(epoch):
                break
        self._made.network.load_state_dict(best)
        if not is_sound(self._made.network) or not math.isfinite(self._least):
            raise errors.LossDiverged
        return self.curve

    def _is_over(self, epoch: int) -> bool:
        if self._time_is_up():
            self.curve.ended_by = "time_limit"
        elif epoch - self.curve.best_epoch >= self._case.patience:
            self.curve.ended_by = "patience"
        return self.curve.ended_by != "epochs"

    def _time_is_up(self) -> bool:
        return time.monotonic() >= self._deadline

    def _learn(self, epoch: int, mean: RunningMean) -> None:
        """Show every image once."""
        self._made.network.train()
        if self._made.frozen is not None:
            self._made.frozen.eval()
        loss = right = shown = 0.0
        for number, rows in enumerate(self._batches(), 1):
            batch_loss, batch_right = self._step(rows)
            mean.follow()
            loss, right, shown = loss + batch_loss * len(rows), right + batch_right, shown + len(rows)
            self._tell(epoch, number)
            if self._time_is_up():
                break
        self._note(epoch, "train", loss / shown, right / shown)

    def _batches(self) -> Iterator[Rows]:
        """Rows to learn from, in a new order, in batches of nearly the same size."""
        rows = self._case.parts.train
        order = rows[torch.randperm(len(rows), generator=self._chance).numpy()]
        yield from np.array_split(order, self._steps)

    def _step(self, rows: Rows) -> tuple[float, int]:
        images, labels = self._take(rows)
        augment = self._case.parameters.augment
        if augment != "none":
            images = varied(images, augment == "mirrored", self._chance)
        with self.precision.forward():
            told = self._made.network(images)
            loss = functional.cross_entropy(told, labels)
        self.precision.step(loss, self._optimizer)
        self._schedule.step()
        return loss.item(), int((told.argmax(dim=1) == labels).sum())

    def _take(self, rows: Rows) -> tuple[Tensor, Tensor]:
        images = self.model.normalized(torch.from_numpy(self._pixels[rows]))
        return images, self._labels[rows].to(self.device)

    def _validate(self, epoch: int) -> None:
        chances = chances_of(self.model, self._pixels, self._case.parts.validation)
        truth = self._case.labels[self._case.parts.validation]
        certain = chances[np.arange(len(truth)), truth]
        loss = float(-np.log(np.clip(certain, 1e-12, 1)).mean())
        self._note(epoch, "validation", loss, float((chances.argmax(axis=1) == truth).mean()))
        loss = loss if math.isfinite(loss) else math.inf
        if epoch == 1 or loss < self._least:
            self._least, self.curve.best_epoch = loss, epoch

    def _note(self, epoch: int, split: str, loss: float, accuracy: float) -> None:
        for name, value in (("loss", loss), ("accuracy", accuracy)):
            getattr(self.curve, f"{split}_{name}").append(value)
            self._telling.metric(name, value, epoch, split)

    def _tell(self, epoch: int, number: int) -> None:
        now = time.monotonic()
        if number < self._steps and now - self._told < TELL_SECONDS:
            return
        self._told = now
        epochs = self._case.epochs
        share = (epoch - 1 + number / self._steps) / epochs
        self._telling.train(share, f"Epoch {epoch} of {epochs}: batch {number} of {self._steps}")


def chances_of(model: Model, pixels: Pixels, rows: Rows) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """What a model answers for some of the images, as images × classes."""
    starts = range(0, len(rows), MEASURED_AT_ONCE)
    some = [model.chances(torch.from_numpy(pixels[rows[start : start + MEASURED_AT_ONCE]])) for start in starts]
    return np.concatenate(some)


def pace(step: int, total: int) -> float:
    """The share of the learning rate at a step: it rises to all of it, then falls to nothing along a cosine."""
    rising = max(1.0, WARM_UP * total)
    if step < rising:
        return FIRST_SHARE + (1 - FIRST_SHARE) * step / rising
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1.0, total - rising))))


def is_sound(network: nn.Module) -> bool:
    """Whether every weight is a number."""
    return all(bool(torch.isfinite(weight).all()) for weight in network.state_dict().values())
