"""The workload on images as the service knows it. What it trains with is imported when it trains, in the worker."""

from pathlib import Path
from typing import Any

from services.training.domain.model import Resources, TrainingPlan, TrainingResult, TrainingSpec
from services.training.domain.ports import PackagedModel, Reporter
from services.training.workloads.images.parameters import Parameters
from services.training.workloads.kit.parts import sort_out

# Part to the module that proves it is installed.
PARTS = {"torch": "torch", "pillow": "PIL", "safetensors": "safetensors", "transformers": "transformers"}
MEMORY_BYTES = 2 * 2**30


class ImageClassification:
    """Learns from a zip of images, one folder a class."""

    name = "image_classification"
    description = "Learns from a zip of images, one folder a class, to tell of other images which class they are."
    inputs = ("archive",)
    outputs = ("binary", "multiclass")

    def parameters_schema(self) -> dict[str, Any]:
        """JSON schema (2020-12) of the parameters."""
        return Parameters.model_json_schema()

    def availability(self) -> tuple[list[str], list[str]]:
        """Names of the libraries that are installed here, and of those that are not."""
        return sort_out(PARTS)

    def resources(self, parameters: dict[str, Any]) -> Resources:  # noqa: ARG002 - all trainings ask for the same
        """Two processors; a graphics processor is used where there is one, and none is waited for."""
        return Resources(cpus=2, memory_bytes=MEMORY_BYTES)

    def check(self, spec: TrainingSpec, data: Path) -> TrainingPlan:
        """Look through the archive; an InvalidInput where nothing can be learned from it."""
        from services.training.workloads.images.case import check

        return check(spec, data)

    def train(self, spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
        """Train, measure on the held-out images, and write the package to `folder / "artifact.zip"`."""
        from services.training.workloads.images.training import train

        return train(spec, data, folder, report)

    def load(self, package: Path, manifest: dict[str, Any]) -> PackagedModel:
        """The model of an unpacked package."""
        from services.training.workloads.images.serving import load_model

        return load_model(package, manifest)
