"""The process in which a task runs. The service starts it (see adapters.processes) with the module of the workloads,
a folder, its terms, and the descriptor of a pipe to which it reports, a message a line."""

import hashlib
import importlib
import io
import os
import resource
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NoReturn

from servicekit.errors import Problem
from services.training.adapters.arriving import Arriving
from services.training.adapters.confinement import confine
from services.training.adapters.contents import inspect
from services.training.adapters.limits import Terms, readable, settle
from services.training.adapters.parent import end_with_parent
from services.training.domain.answers import Loaded, RowsHeader
from services.training.domain.elsewhere import Fetched, KaggleCredentials
from services.training.domain.errors import DiskFull, GpuMemory, MemoryLimit, ModelTooLarge
from services.training.domain.messages import (
    CheckTask,
    InspectTask,
    KaggleTask,
    Message,
    Refusal,
    ServeTask,
    TrainTask,
    WorkerDied,
    decode,
    encode,
)
from services.training.domain.model import Metric, Progress, TrainingResult, TrainingSpec
from services.training.domain.ports import PackagedModel, Workload
from services.training.domain.shortage import is_of_a_full_disk, is_of_a_small_gpu, is_of_short_memory

SET_ASIDE_BYTES = 1024 * 1024 * 1024
PIECE_BYTES = 64 * 1024


class PipeReporter:
    """Tells the service what a workload reports, from whatever thread it does."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def progress(self, progress: Progress) -> None:
        """Tell how far it is."""
        self.send(progress)

    def metric(self, metric: Metric) -> None:
        """Tell a number measured on the way."""
        self.send(metric)

    def questions(self) -> BinaryIO:
        """What the service asks, where the descriptor is a socket."""
        return os.fdopen(os.dup(self._pipe.fileno()), "rb")

    def send(self, message: Message, content: bytes = b"") -> None:
        """Send one message, and the bytes it announces; blocks while the service does not listen."""
        with self._lock:
            self._pipe.write(encode(message) + content)
            self._pipe.flush()


def main(workloads: str, folder: Path, terms: Terms, descriptor: int) -> None:
    """Do the task of a folder on some terms. An error that nobody foresaw ends the process with a stack in its log."""
    settle(terms)  # before there is a second thread
    end_with_parent()
    _go_first_when_memory_is_short()
    if terms.memory_bytes:
        _bound(terms.memory_bytes)
    os.set_inheritable(descriptor, False)
    os.chdir(folder)
    confine(folder)
    with os.fdopen(descriptor, "wb") as pipe:
        report = PipeReporter(pipe)
        report.send(_outcome(workloads, folder, report, terms.memory_bytes))


def _go_first_when_memory_is_short() -> None:
    path = Path("/proc/self/oom_score_adj")
    if path.exists():
        path.write_text("500")


def _bound(memory_bytes: int) -> None:
    # The service looks at what is used; this stops one allocation that is larger than all there is. It counts what is
    # set aside as well, of which libraries with threads set aside a lot.
    limit = memory_bytes + SET_ASIDE_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _outcome(workloads: str, folder: Path, report: PipeReporter, memory_bytes: int) -> Message:
    try:
        return _do(workloads, folder, report)
    except Problem as problem:
        return Refusal.of(problem)
    except Exception as error:
        shortage = _shortage(error, memory_bytes)
        if shortage is None:
            raise
        with suppress(OSError):  # the log is on a disk as well
            traceback.print_exc()
        return Refusal.of(shortage)


def _shortage(error: Exception, memory_bytes: int) -> Problem | None:
    """What there was too little of for the work, if that is why it failed."""
    if is_of_a_full_disk(error):
        return DiskFull()
    if is_of_a_small_gpu(error):
        return GpuMemory()
    if is_of_short_memory(error):
        limit = readable(memory_bytes)
        return MemoryLimit(limit=limit) if memory_bytes else WorkerDied.of_memory("a failed allocation")
    return None


def _do(workloads: str, folder: Path, report: PipeReporter) -> Message:
    task = decode((folder / "task.json").read_bytes())
    data = folder / "dataset"
    match task:
        case TrainTask(spec):
            result = _workload(workloads, spec).train(spec, data, folder, report)
            _verify(folder / "artifact.zip", result)
            return result
        case CheckTask(spec):
            return _workload(workloads, spec).check(spec, data)
        case InspectTask(known, sample_size):
            return inspect(data, folder / "tmp", known, sample_size)
        case ServeTask(memory_bytes):
            return _serve(workloads, folder, report, memory_bytes)
        case KaggleTask():
            return _download(task, folder, report)
    raise TypeError(f"{type(task).__name__} is no task")


def _serve(workloads: str, folder: Path, report: PipeReporter, memory_bytes: int) -> NoReturn:
    """Answer for rows until nobody asks any more."""
    model = _loaded(workloads, folder, memory_bytes)
    report.send(Loaded())
    with report.questions() as questions:
        while line := questions.readline():
            rows = decode(line)
            if not isinstance(rows, RowsHeader):
                raise TypeError(f"{type(rows).__name__} is no question")
            arriving = Arriving(questions)
            content = io.BufferedReader(arriving, PIECE_BYTES)
            answer = _answer(model, rows, content)
            while content.read1():
                pass  # what nobody has looked at
            if not arriving.broken_off:
                report.send(*answer)
    sys.exit()


def _loaded(workloads: str, folder: Path, memory_bytes: int) -> PackagedModel:
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    try:
        model: PackagedModel = importlib.import_module(workloads).load_package(folder / "package.zip", folder)
    except Exception as error:
        if not (memory_bytes and is_of_short_memory(error)):
            raise
        raise ModelTooLarge(limit=readable(memory_bytes)) from error
    return model


def _answer(model: PackagedModel, rows: RowsHeader, content: io.BufferedIOBase) -> tuple[Message, bytes]:
    try:
        header, answers = model.answer(rows, content)
    except Problem as problem:
        return Refusal.of(problem), b""
    except Exception as error:
        if is_of_a_full_disk(error):
            return Refusal.of(DiskFull()), b""
        if is_of_short_memory(error):
            # As the kernel would have ended it: who knows what is missing now.
            os.kill(os.getpid(), signal.SIGKILL)
        raise
    header.check(answers)
    return header, answers


def _download(task: KaggleTask, folder: Path, report: PipeReporter) -> Fetched:
    """Download from Kaggle, with the credentials that the service says."""
    # Here, because it brings a client of Kaggle.
    from services.training.adapters.kaggle_download import download

    with report.questions() as questions:
        credentials = decode(questions.readline())
    if not isinstance(credentials, KaggleCredentials):
        raise TypeError(f"{type(credentials).__name__} are no credentials")
    return download(task, credentials, folder)


def _workload(module: str, spec: TrainingSpec) -> Workload:
    found: Workload = importlib.import_module(module).workload_named(spec.workload)
    return found


def _verify(artifact: Path, result: TrainingResult) -> None:
    with artifact.open("rb") as file:
        found = (artifact.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
    if found != (result.artifact_size, result.artifact_sha256):
        raise ValueError(f"the workload says that its artifact has {result.artifact_size} bytes, and it has {found[0]}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Terms.of_argument(sys.argv[3]), int(sys.argv[4]))
