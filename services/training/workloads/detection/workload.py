"""Object detection as the service knows it. What it trains with is imported when it trains, in the worker."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.training.domain.model import Resources, Stage, TrainingPlan, TrainingResult, TrainingSpec
from services.training.domain.ports import PackagedModel, Reporter
from services.training.workloads.detection.parameters import Parameters
from services.training.workloads.kit.parts import sort_out
from services.training.workloads.kit.telling import Telling

# Part to the module that proves it is installed.
PARTS = {"torch": "torch", "pillow": "PIL", "pycocotools": "pycocotools", "safetensors": "safetensors"}


class ObjectDetection:
    """Learns from images with boxes to find things in other images."""

    name = "object_detection"
    description = "Learns from a zip of images with boxes, in COCO or YOLO layout, to find such things in other images."
    inputs = ("archive",)
    outputs = ("object_detection",)

    def parameters_schema(self) -> dict[str, Any]:
        """JSON schema (2020-12) of the parameters."""
        return Parameters.model_json_schema()

    def availability(self) -> tuple[list[str], list[str]]:
        """Names of the libraries that are installed here, and of those that are not."""
        return sort_out(PARTS)

    def resources(self, parameters: dict[str, Any]) -> Resources:  # noqa: ARG002 - it is the same for all
        """It makes use of two processors, and of a graphics processor where there is one."""
        return Resources(cpus=2)

    def check(self, spec: TrainingSpec, data: Path) -> TrainingPlan:
        """Read all annotations and look into some of the images; an InvalidInput names what is wrong."""
        from services.training.workloads.detection.case import settle

        return settle(spec, data).plan

    def train(self, spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
        """Train, measure on the held-out images, and write the package to `folder / "artifact.zip"`."""
        from services.training.workloads.detection.case import settle

        start_time, telling = datetime.now(UTC), Telling(report)
        telling.begin(Stage.PREPARING, "Reading the annotations")
        case = settle(spec, data)
        # What is wrong with the data is told without it: it takes seconds to import.
        from services.training.workloads.detection.training import train

        return train(case, data, folder, telling, start_time)

    def load(self, package: Path, manifest: dict[str, Any]) -> PackagedModel:
        """The model of an unpacked package."""
        from services.training.workloads.detection.serving import load_model

        return load_model(package, manifest)
