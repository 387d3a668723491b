"""Packages a trained detector as a zip that runs on its own."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image
from PIL.Image import new as new_image
from safetensors.torch import save_file

from services.training.workloads.detection.canvas import read_one
from services.training.workloads.detection.card import write_card
from services.training.workloads.detection.case import ENGINE, TARGET, Case
from services.training.workloads.detection.learning import Learned
from services.training.workloads.detection.measuring import Answer, Measured
from services.training.workloads.detection.templates.load_model import Found, draw
from services.training.workloads.kit import packaging
from services.training.workloads.kit.archive import opened

HERE = "services.training.workloads.detection.templates"
PROGRAMS = {"load_model.py": HERE, "predict.py": HERE, "pictures.py": packaging.SHARED}
DISTRIBUTIONS = ("torch", "numpy", "pillow", "safetensors")
BEST_MODEL = "CentreDetector"
SAMPLES = 8
SMALLEST_SAMPLE, LARGEST_SAMPLE = 320, 640  # pixels of the longer side
GAP = 4


@dataclass(frozen=True)
class Outcome:
    """What a training came to: measures and answers on the held-out images."""

    measured: Measured
    answers: list[Answer]
    dataset_sha256: str
    start_time: datetime

    @property
    def library_versions(self) -> dict[str, str]:
        """Of what the packaged model needs."""
        return {name: version(name) for name in DISTRIBUTIONS}

    def evaluation(self, case: Case, learned: Learned) -> dict[str, Any]:
        """What charts are drawn from; all but the learning curve is of the held-out images."""
        names = case.listing.classes
        found: dict[str, Any] = packaging.without_nan(
            {
                "per_class": self.measured.per_class(names),
                "precision_recall_curve": self.measured.curves(names),
                "learning_curve": learned.curve,
            }
        )
        return found


def used(case: Case, learned: Learned) -> dict[str, Any]:
    """The parameters as they were used: what the data settled is told as a number."""
    settled = {"epochs": learned.epochs, "image_size": max(case.width, case.height)}
    return case.parameters.model_dump() | settled


def write_package(case: Case, learned: Learned, outcome: Outcome, data: Path, work: Path, artifact: Path) -> Path:
    """Write the package next to where it will be, then move it there whole."""
    package = work / "package"
    (package / "model").mkdir(parents=True)
    (package / "samples").mkdir()
    weights = {name: value.cpu().contiguous() for name, value in learned.detector.weights().items()}
    save_file(weights, package / "model" / "weights.safetensors")
    config = json.dumps(asdict(learned.detector.config), indent=2, ensure_ascii=False)
    (package / "model" / "config.json").write_text(config, encoding="utf-8")
    packaging.copy_programs(package, PROGRAMS)
    _draw_samples(case, outcome, data, package / "samples")
    manifest = _describe(case, learned, outcome, data)
    packaging.write_package(package, manifest, write_card(manifest), artifact)
    return artifact


def _draw_samples(case: Case, outcome: Outcome, data: Path, folder: Path) -> None:
    """Held-out images twice, side by side: with the boxes that are there, and with those that were found."""
    step = max(1, len(case.parts.test) // SAMPLES)
    with opened(data) as archive:
        for number, place in enumerate(range(0, len(case.parts.test), step)[:SAMPLES], 1):
            annotated = case.listing.images[case.parts.test[place]]
            image, boxes = read_one(archive, annotated)
            scale = max(SMALLEST_SAMPLE, min(LARGEST_SAMPLE, max(image.size))) / max(image.size)
            scaled = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
            answer = outcome.answers[place]
            sure = answer.scores >= case.parameters.score_threshold
            true = _as_found(case, np.ones(len(boxes)), annotated.classes, boxes * scale)
            found = _as_found(case, answer.scores[sure], answer.classes[sure], answer.boxes[sure] * scale)
            _beside(draw(scaled, true, scores=False), draw(scaled, found)).save(folder / f"{number}.png")


def _beside(left: Image, right: Image) -> Image:
    both = new_image("RGB", (left.width + GAP + right.width, left.height), "white")
    both.paste(left, (0, 0))
    both.paste(right, (left.width + GAP, 0))
    return both


def _as_found(case: Case, scores: Any, classes: Any, boxes: Any) -> list[Found]:
    return [
        Found(case.listing.classes[label], int(label), float(score), (box[0], box[1], box[2], box[3]))
        for score, label, box in zip(scores.tolist(), classes.tolist(), boxes.tolist(), strict=True)
    ]


def _describe(case: Case, learned: Learned, outcome: Outcome, data: Path) -> dict[str, Any]:
    """The manifest, but for the files."""
    metrics = outcome.measured.metrics
    return {
        **packaging.opening_facts(case.spec, outcome.library_versions),
        "engine": ENGINE,
        "best_model": BEST_MODEL,
        "problem_type": "object_detection",
        "target": TARGET,
        "classes": case.listing.classes,
        "features": [],
        "dataset": _describe_data(case, outcome, data),
        "split": {
            "method": case.parts.method,
            "seed": case.parameters.seed,
            "test_fraction": case.parameters.test_fraction,
            "train_images": len(case.parts.train),
            "validation_images": len(case.parts.validation),
            "test_images": len(case.parts.test),
        },
        "score": {"name": case.parameters.eval_metric, "value": metrics[case.parameters.eval_metric]},
        "metrics": metrics,
        "per_class": outcome.measured.per_class(case.listing.classes),
        "parameters": used(case, learned),
        "network": {
            "parameters": learned.parameter_count,
            "canvas": [case.width, case.height],
            "stride": case.stride,
            "best_epoch": learned.best_epoch,
        },
        "unavailable": [],
    }


def _describe_data(case: Case, outcome: Outcome, data: Path) -> dict[str, Any]:
    listing = case.listing
    return {
        "id": case.spec.dataset.dataset_id,
        "sha256": outcome.dataset_sha256,
        "size": data.stat().st_size,
        "layout": listing.layout,
        "images": len(listing.images),
        "images_without_boxes": sum(not image.has_boxes for image in listing.images),
        "boxes": listing.box_count,
        "unused_classes": listing.unused_classes,
    }
