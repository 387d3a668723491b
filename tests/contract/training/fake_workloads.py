"""Workloads for tests: each does what its name says. The service and its workers import this module by its name."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.training.domain.errors import BadParameters, OneClass, PackageBroken
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
from services.training.domain.ports import PackagedModel, Reporter, Workload

HOUR = "import time; time.sleep(3600)"


class Fake:
    """Trains by copying the dataset; counts how often it did in its own folder's neighbour, the result."""

    name = "copies"
    description = "Copies the dataset."
    inputs = ("table",)
    outputs = ("binary",)

    def parameters_schema(self) -> dict[str, Any]:
        return {"type": "object", "properties": {"pause": {"type": "number", "minimum": 0}}}

    def availability(self) -> tuple[list[str], list[str]]:
        return ["copying"], ["magic"]

    def resources(self, parameters: dict[str, Any]) -> Resources:
        return Resources(**{name: parameters[name] for name in ("cpus", "gpus") if name in parameters})

    def load(self, package: Path, manifest: dict[str, Any]) -> PackagedModel:
        raise PackageBroken(trouble="a copy answers nothing")

    def check(self, spec: TrainingSpec, data: Path) -> TrainingPlan:
        header, *rows = data.read_text().splitlines()
        return TrainingPlan(
            spec.target or header.split(",")[-1], ProblemType.BINARY, len(rows), header.count(","), "copy"
        )

    def train(self, spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
        began = datetime.now(UTC)
        if spec.parameters.get("pause", 0) < 0:
            raise BadParameters(trouble="pause is negative", known="pause")
        for fraction, stage in ((0.1, Stage.PREPARING), (0.5, Stage.TRAINING), (0.3, Stage.EVALUATING)):
            report.progress(Progress(fraction, stage, f"{stage} now."))
            sys.stdout.write("a library prints what it likes\n")
            time.sleep(spec.parameters.get("pause", 0))
        report.metric(Metric("accuracy", 0.75, step=1, split="validation", measure_time=datetime.now(UTC)))
        (folder / "working").mkdir()
        (folder / "working" / "file").write_bytes(b"x" * 1000)
        content = data.read_bytes() + os.urandom(700_000)
        (folder / "artifact.zip").write_bytes(content)
        return _result(self.check(spec, data), spec, content, began)


def _result(plan: TrainingPlan, spec: TrainingSpec, content: bytes, began: datetime) -> TrainingResult:
    return TrainingResult(
        training_id=spec.training_id,
        engine=plan.engine,
        best_model="Copy",
        target=plan.target,
        problem_type=plan.problem_type,
        score_name="accuracy",
        score=0.75,
        metrics=[Metric("accuracy", 0.75)],
        train_row_count=plan.row_count,
        test_row_count=0,
        features=["a"],
        leaderboard=[],
        unavailable=["magic"],
        parameters=spec.parameters,
        library_versions={"python": sys.version.split()[0]},
        artifact_size=len(content),
        artifact_sha256=hashlib.sha256(content).hexdigest(),
        dataset_sha256="",
        start_time=began,
        end_time=datetime.now(UTC),
    )


class Lingers(Fake):
    """Starts a process of its own, says both process ids, and takes an hour."""

    name = "lingers"

    def train(self, spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
        child = subprocess.Popen([sys.executable, "-c", HOUR])
        report.progress(Progress(0.2, Stage.TRAINING, f"{os.getpid()} {child.pid}"))
        (folder / "half").write_bytes(b"x" * 1000)
        time.sleep(3600)
        raise AssertionError("nobody waits for an hour")


class Escapes(Fake):
    """As `lingers`, but the process that it starts has a session of its own."""

    name = "escapes"

    def train(self, spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
        child = subprocess.Popen([sys.executable, "-c", HOUR], start_new_session=True)
        report.progress(Progress(0.2, Stage.TRAINING, f"{os.getpid()} {child.pid}"))
        time.sleep(3600)
        raise AssertionError("nobody waits for an hour")


class Faults(Fake):
    """Is ended by a fault in native code."""

    name = "faults"

    def train(self, spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
        os.kill(os.getpid(), signal.SIGSEGV)
        raise AssertionError("it has ended")


class Dawdles(Fake):
    """Takes an hour to check."""

    name = "dawdles"

    def check(self, spec: TrainingSpec, data: Path) -> TrainingPlan:
        time.sleep(3600)
        raise AssertionError("nobody waits for an hour")


class Starves(Fake):
    """Runs out of memory."""

    name = "starves"

    def train(self, spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
        raise MemoryError


class Fills(Fake):
    """Finds no space for what it writes, and says so as libraries do."""

    name = "fills"

    def train(self, spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
        raise RuntimeError("the model cannot be saved") from OSError(errno.ENOSPC, "No space left on device")


class Gorges(Fake):
    """Takes memory until it is stopped: a half itself, a half in a process that it starts; or all of it at once."""

    name = "gorges"

    def train(self, spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
        size = int(spec.parameters["bytes"])
        if spec.parameters.get("at_once"):
            bytearray(size)
        child = subprocess.Popen([sys.executable, "-c", f"held = b'x' * {size // 2}; {HOUR}"])
        report.progress(Progress(0.2, Stage.TRAINING, f"{os.getpid()} {child.pid}"))
        held = b"x" * (size // 2)
        time.sleep(3600)
        raise AssertionError(f"nobody stopped it at {len(held)}")


class Stands(Fake):
    """Tells where and how urgently it runs."""

    name = "stands"

    def train(self, spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
        group = Path("/proc/self/autogroup").read_text().split()[-1] if Path("/proc/self/autogroup").exists() else "5"
        seats = ",".join(str(seat) for seat in sorted(os.sched_getaffinity(0)))
        report.progress(Progress(0.5, Stage.TRAINING, f"nice {os.nice(0)} {group} on {seats}"))
        return super().train(spec, data, folder, report)


class Lies(Fake):
    """Says of its artifact what is not true."""

    name = "lies"

    def train(self, spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
        return replace(super().train(spec, data, folder, report), artifact_sha256="0" * 64)


class Refuses(Fake):
    """Refuses its data."""

    name = "refuses"

    def check(self, spec: TrainingSpec, data: Path) -> TrainingPlan:
        raise OneClass(target="species", value="cat")

    def train(self, spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
        raise OneClass(target="species", value="cat")


class Breaks(Fake):
    """Fails in a way that nobody foresaw."""

    name = "breaks"

    def train(self, spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
        raise RuntimeError("an inner secret")


class Strays(Fake):
    """Writes where it may not: to the path in its parameters."""

    name = "strays"

    def train(self, spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
        Path(spec.parameters["path"]).write_text("outside")
        return super().train(spec, data, folder, report)


class Tells(Fake):
    """Tells its environment in its result."""

    name = "tells"

    def train(self, spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
        report.progress(
            Progress(0.5, Stage.TRAINING, "\n".join(f"{name}={value}" for name, value in os.environ.items()))
        )
        return super().train(spec, data, folder, report)


DECLARED: dict[str, Workload] = {
    kind.name: kind()
    for kind in (
        Fake,
        Lingers,
        Escapes,
        Faults,
        Dawdles,
        Starves,
        Fills,
        Gorges,
        Stands,
        Lies,
        Refuses,
        Breaks,
        Strays,
        Tells,
    )
}


def workload_named(name: str) -> Workload:
    return DECLARED[name]


def load_package(archive: Path, folder: Path) -> PackagedModel:
    raise MemoryError


def all_workloads() -> list[Workload]:
    return [DECLARED[name] for name in sorted(DECLARED)]
