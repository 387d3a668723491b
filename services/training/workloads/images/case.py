"""Settles a training from its spec and its data: one path for checking and for training."""

from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from services.training.domain import errors
from services.training.domain.model import ProblemType, TrainingPlan, TrainingSpec
from services.training.workloads.images.backbones import Backbone, find_backbone
from services.training.workloads.images.layout import TEST, TRAIN, VALIDATION, Found, check_classes, find_images
from services.training.workloads.images.looking import look_at
from services.training.workloads.images.parameters import Parameters, parse
from services.training.workloads.images.workload import PARTS
from services.training.workloads.kit.archive import Archive, opened
from services.training.workloads.kit.parts import is_installed
from services.training.workloads.kit.pictures import Unreadable
from services.training.workloads.kit.splitting import Rows, split_rows

TARGET = "class"
SMALLEST_SIDE, LARGEST_SIDE = 32, 128
# A network from scratch is shown about so many images in all, in a sensible number of epochs.
SHOWN, FEWEST_EPOCHS, MOST_EPOCHS = 50_000, 12, 60
SMALLEST_BATCH, LARGEST_BATCH = 8, 64


@dataclass(frozen=True)
class Asked:
    """What was asked for, found to be possible as far as that can be told without the data."""

    spec: TrainingSpec
    parameters: Parameters
    backbone: Backbone | None


@dataclass(frozen=True)
class Parts:
    """Positions of the images to learn from, of those that settle when to stop, and of those held out."""

    train: Rows
    validation: Rows
    test: Rows


@dataclass(frozen=True)
class Case:
    """A training, settled: what is learned from which images, measured how."""

    asked: Asked
    images: list[Found]
    classes: list[str]
    labels: npt.NDArray[np.int64]
    parts: Parts
    score_name: str

    @property
    def problem_type(self) -> ProblemType:
        """Two classes or more."""
        return _problem_type(self.classes)

    @property
    def parameters(self) -> Parameters:
        """As given, defaults included."""
        return self.asked.parameters

    @property
    def split_given(self) -> bool:
        """Whether the archive says what is held out."""
        return bool(self.images[0].part)

    @property
    def epochs(self) -> int:
        """Most times that every image is shown."""
        enough = ceil(SHOWN / len(self.parts.train))
        return self.parameters.epochs or min(MOST_EPOCHS, max(FEWEST_EPOCHS, enough))

    @property
    def batch_size(self) -> int:
        """Images before each correction: of few images few, so that there are corrections enough."""
        fitting = min(LARGEST_BATCH, max(SMALLEST_BATCH, len(self.parts.train) // 10))
        return self.parameters.batch_size or fitting

    @property
    def patience(self) -> int:
        """Epochs without a better validation loss after which training stops."""
        return self.parameters.patience or max(5, ceil(self.epochs / 3))


def check(spec: TrainingSpec, data: Path) -> TrainingPlan:
    """What a training would do. Images are looked at, and not read whole."""
    asked = settle_request(spec)
    with opened(data) as archive:
        images = find_images(archive)
        check_classes(images)
        _, unreadable = look_at(archive, images)
    case = settle(asked, images, unreadable)
    return TrainingPlan(TARGET, case.problem_type, row_count=len(case.images), feature_count=0, engine="torch")


def settle_request(spec: TrainingSpec) -> Asked:
    """Check what was asked; an InvalidInput names what is wrong with it, a NotReady what is missing here."""
    parameters = parse(spec.parameters)
    if spec.target not in ("", TARGET):
        raise errors.TargetNotFound(target=spec.target, suggestion="Images have none: leave the target out.")
    if spec.problem_type not in (None, ProblemType.BINARY, ProblemType.MULTICLASS):
        raise errors.UnfitProblem(asked=spec.problem_type, known="binary, multiclass")
    needed = [part for part in PARTS if part != "transformers" or parameters.backbone]
    if missing := [part for part in needed if not is_installed(PARTS[part])]:
        raise errors.EngineUnavailable(engine=missing[0], package="modelyard[images]")
    return Asked(spec, parameters, find_backbone(parameters.backbone) if parameters.backbone else None)


def choose_side(asked: Asked, archive: Archive, images: list[Found]) -> int:
    """Pixels a side to which images are scaled."""
    if asked.parameters.image_size:
        return asked.parameters.image_size
    if asked.backbone:
        return asked.backbone.side
    middle, _ = look_at(archive, images)
    return min(LARGEST_SIDE, max(SMALLEST_SIDE, 8 * ceil(middle / 8)))


def settle(asked: Asked, images: list[Found], unreadable: Unreadable) -> Case:
    """Settle a training; the images that cannot be read are refused, or left out where that was asked for."""
    if not asked.parameters.skip_unreadable:
        unreadable.refuse(len(images))
    left = [image for image in images if image.path not in unreadable.troubles]
    if not left:
        unreadable.refuse(len(images))
    classes = check_classes(left)
    if asked.spec.problem_type is ProblemType.BINARY and len(classes) != 2:
        raise errors.NotBinary(target=TARGET, classes=f"{len(classes):,}")
    places = {name: place for place, name in enumerate(classes)}
    labels = np.array([places[image.label] for image in left])
    case = Case(asked, left, classes, labels, _settle_parts(asked.parameters, left, labels), "")
    return replace(case, score_name=_settle_metric(case))


def _settle_parts(parameters: Parameters, images: list[Found], labels: npt.NDArray[np.int64]) -> Parts:
    named = np.array([image.part for image in images])
    rest, test = np.flatnonzero(named == TRAIN), np.flatnonzero(named == TEST)
    if not images[0].part:
        split = split_rows(labels, True, parameters.test_fraction, parameters.seed)
        rest, test = split.train, split.test
    if (named == VALIDATION).any():
        return Parts(rest, np.flatnonzero(named == VALIDATION), test)
    inner = split_rows(labels[rest], True, parameters.validation_fraction, parameters.seed)
    if not len(inner.test):
        raise errors.BadLayout(
            trouble="of each class one image is left to learn from, and none to settle when to stop. Add images of "
            "each class, or give a smaller test_fraction."
        )
    return Parts(rest[inner.train], rest[inner.test], test)


def _settle_metric(case: Case) -> str:
    asked, problem_type = case.parameters.eval_metric, case.problem_type
    if asked is None:
        return "accuracy"
    # It brings more than looking into an archive takes.
    from services.training.workloads.kit.metrics import defined_metrics, metrics_for

    truth: npt.NDArray[Any] = np.array(case.classes)[case.labels[case.parts.test]]
    defined = defined_metrics(problem_type, truth, case.classes)
    if asked in defined:
        return asked
    why = "the held-out images do not have the classes that it compares"
    if asked not in metrics_for(problem_type):
        why = f"it does not measure a {problem_type} problem"
    raise errors.UnfitMetric(metric=asked, why=why, known=", ".join(defined))


def _problem_type(classes: list[str]) -> ProblemType:
    return ProblemType.BINARY if len(classes) == 2 else ProblemType.MULTICLASS
