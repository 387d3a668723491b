"""A cancel while a thread still makes files: it waits for the thread, so that the folder can be removed after it."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from services.training.adapters import processes
from services.training.adapters.conversing import conversing
from services.training.adapters.processes import started
from services.training.domain import fetching
from services.training.domain.fetching import fetch
from services.training.domain.messages import ServeTask, encode
from services.training.domain.model import DatasetSource

PREPARED = ["lock", "task.json", "tmp", "worker.log"]


class Nothing:
    """Stored datasets without a byte."""

    async def read(self, source: DatasetSource):
        for nothing in ():
            yield nothing


async def cancelled_in(began: threading.Event, work: Coroutine[Any, Any, Any]) -> None:
    """Cancel something as soon as its thread has begun, and wait for its end."""
    working = asyncio.create_task(work)
    await asyncio.to_thread(began.wait, 30)
    working.cancel()
    await asyncio.wait([working])

    assert working.cancelled()


def held(function: Callable[..., Any]) -> tuple[threading.Event, Callable[..., Any]]:
    """A function that takes a while, and how to hear that it has begun."""
    began = threading.Event()

    def slow(*args: Any, **kwargs: Any) -> Any:
        began.set()
        time.sleep(0.2)
        return function(*args, **kwargs)

    return began, slow


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def open_in(folder: Path) -> list[Path]:
    """Files of a folder that this process has open."""
    files = []
    for number in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that by which they are listed
            files.append(number.readlink())
    return [path for path in files if path.is_relative_to(folder)]


@pytest.mark.parametrize("way", ["started", "conversing"])
async def test_a_cancel_while_a_worker_is_prepared_waits_for_its_files_and_closes_them(tmp_path, monkeypatch, way):
    """M.3: what a thread makes after its folder was removed would stay until the next start of the service."""
    began, slow = held(encode)
    monkeypatch.setattr(processes, "encode", slow)

    async def work() -> None:
        given = (ServeTask(0), tmp_path, ["true"], {}) if way == "started" else (ServeTask(0), "none", tmp_path, {})
        async with (started if way == "started" else conversing)(*given):
            raise AssertionError("nobody waited for it")

    await cancelled_in(began, work())

    assert names_in(tmp_path) == PREPARED
    assert open_in(tmp_path) == []


async def test_a_cancel_while_a_dataset_is_begun_waits_for_its_file_and_closes_it(tmp_path, monkeypatch):
    began, slow = held(Path.open)
    monkeypatch.setattr(fetching.Path, "open", slow)
    await cancelled_in(began, fetch(Nothing(), DatasetSource("d1", "datasets", "k"), tmp_path / "dataset"))

    assert names_in(tmp_path) == ["dataset"]
    assert open_in(tmp_path) == []
