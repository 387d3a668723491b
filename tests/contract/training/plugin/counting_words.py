"""A workload of somebody else's: which class the most frequent words of a text belong to. It uses nothing but what
docs/workloads.md names."""

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from services.training.domain.answers import AnswersHeader, RowFormat, RowsHeader
from services.training.domain.errors import UnfitInput
from services.training.domain.model import (
    Metric,
    ProblemType,
    Progress,
    Resources,
    Stage,
    TrainingPlan,
    TrainingResult,
    TrainingSpec,
)
from services.training.domain.ports import Reporter
from services.training.workloads.kit import packaging
from services.training.workloads.kit.fingerprints import fingerprint


class CountingWords:
    """Guesses the class of a text from its words."""

    name = "counting_words"
    description = "Guesses the class of a text from its words."
    inputs = ("table",)
    outputs = ("binary",)

    def parameters_schema(self) -> dict[str, Any]:
        return {"type": "object", "properties": {"least_count": {"type": "integer", "default": 1}}}

    def availability(self) -> tuple[list[str], list[str]]:
        return ["counting"], []

    def resources(self, parameters: dict[str, Any]) -> Resources:
        return Resources(cpus=0.5)

    def check(self, spec: TrainingSpec, data: Path) -> TrainingPlan:
        return TrainingPlan("label", ProblemType.BINARY, len(_rows(data)), 1, "counting")

    def train(self, spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
        began, rows = datetime.now(UTC), _rows(data)
        learned, held = rows[: len(rows) // 2], rows[len(rows) // 2 :]
        words: dict[str, Counter[str]] = defaultdict(Counter)
        for text, label in learned:
            words[label].update(text.split())
        report.progress(Progress(0.5, Stage.TRAINING, "Counted."))
        score = sum(_guess(words, text) == label for text, label in held) / len(held)
        package = folder / "package"
        package.mkdir()
        (package / "words.json").write_text(json.dumps(words))
        manifest = packaging.opening_facts(spec, {}) | {"classes": sorted(words)}
        packaging.write_package(package, manifest, "# Words\n", folder / "artifact.zip")
        artifact = folder / "artifact.zip"
        return TrainingResult(
            training_id=spec.training_id,
            engine="counting",
            best_model="Words",
            target="label",
            problem_type=ProblemType.BINARY,
            score_name="accuracy",
            score=score,
            metrics=[Metric("accuracy", score)],
            train_row_count=len(learned),
            test_row_count=len(held),
            features=["text"],
            leaderboard=[],
            unavailable=[],
            parameters=spec.parameters,
            library_versions={},
            artifact_size=artifact.stat().st_size,
            artifact_sha256=fingerprint(artifact),
            dataset_sha256="",
            start_time=began,
            end_time=datetime.now(UTC),
        )

    def load(self, package: Path, manifest: dict[str, Any]) -> "Words":
        return Words(json.loads((package / "words.json").read_text()), manifest["classes"])


class Words:
    """The counted words."""

    takes_columns = False

    def __init__(self, words: dict[str, dict[str, int]], classes: list[str]) -> None:
        self._words = words
        self._classes = classes

    def answer(self, rows: RowsHeader, content: BufferedIOBase) -> tuple[AnswersHeader, bytes]:
        if rows.row_format is not RowFormat.JSON:
            raise UnfitInput(takes="rows in JSON", given=rows.row_format)
        texts = [row["text"] for row in json.load(content)]
        places = [self._classes.index(_guess(self._words, text)) for text in texts]
        indexes = b"".join(place.to_bytes(4, "little") for place in places)
        header = AnswersHeader(len(texts), ProblemType.BINARY, self._classes)
        return header, indexes + _certain(places, len(self._classes))


def _certain(places: list[int], classes: int) -> bytes:
    from array import array

    return array("d", [float(each == place) for place in places for each in range(classes)]).tobytes()


def _guess(words: Any, text: str) -> str:
    return max(sorted(words), key=lambda label: sum(words[label].get(word, 0) for word in text.split()))


def _rows(data: Path) -> list[tuple[str, str]]:
    lines = data.read_text().splitlines()[1:]
    return [(line.split(",")[0], line.split(",")[1]) for line in lines]
