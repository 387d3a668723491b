"""Settles a training from its spec and its data: one path for checking and for training."""

from dataclasses import dataclass
from pathlib import Path

from services.training.domain.errors import EngineUnavailable
from services.training.domain.model import ProblemType, TrainingPlan, TrainingSpec
from services.training.workloads.detection import errors
from services.training.workloads.detection.annotations import Listing
from services.training.workloads.detection.parameters import Parameters, parse
from services.training.workloads.detection.splitting import Parts, leave_out_strays, settle_parts
from services.training.workloads.detection.workload import PARTS
from services.training.workloads.kit.archive import opened
from services.training.workloads.kit.parts import sort_out

TARGET = "objects"
ENGINE = "torch"


@dataclass(frozen=True)
class Case:
    """A training, settled: what is learned from which images, on what canvas."""

    spec: TrainingSpec
    parameters: Parameters
    listing: Listing
    parts: Parts
    width: int
    height: int
    stride: int

    @property
    def plan(self) -> TrainingPlan:
        """What it comes to, for the caller."""
        return TrainingPlan(TARGET, ProblemType.OBJECT_DETECTION, len(self.listing.images), 0, ENGINE)


def settle(spec: TrainingSpec, data: Path) -> Case:
    """Settle a training; an InvalidInput names what is wrong with what was asked, a NotReady what is missing."""
    parameters = parse(spec.parameters)
    if spec.problem_type not in (None, ProblemType.OBJECT_DETECTION):
        raise errors.NotDetection(asked=spec.problem_type)
    if missing := sort_out(PARTS)[1]:
        raise EngineUnavailable(engine=ENGINE, package=", ".join(missing))
    # They bring Pillow, which need not be installed.
    from services.training.workloads.detection.canvas import look
    from services.training.workloads.detection.layout import read_listing

    with opened(data) as archive:
        listing = leave_out_strays(read_listing(archive))
        canvas = look(archive, listing.images, parameters.image_size)
    parts = settle_parts(listing, parameters)
    return Case(spec, parameters, listing, parts, canvas.width, canvas.height, canvas.stride)
