"""Processes of workers, and what is said of their ends."""

import asyncio
import os
import threading
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from services.training.adapters import child
from services.training.adapters.models import ModelProcess
from services.training.domain.messages import WorkerDied

LASTING = ("sleep", "60")


async def test_whoever_is_cancelled_leaves_no_process_however_often(monkeypatch: pytest.MonkeyPatch):
    """002.6: not even one that is being started, which no cancel stops."""
    begun, go_on, is_there = threading.Event(), threading.Event(), threading.Event()
    start, pids = child._start, []

    def slowly(*given: Any) -> child.Child:
        begun.set()
        assert go_on.wait(30)
        started = start(*given)
        pids.append(started.pid)
        is_there.set()
        return started

    async def use() -> None:
        with Path(os.devnull).open("wb") as output:
            async with child.child_process(LASTING, output, dict(os.environ), ()):
                raise AssertionError("it was cancelled before")

    monkeypatch.setattr(child, "_start", slowly)
    task = asyncio.create_task(use())
    assert await asyncio.to_thread(begun.wait, 30)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(is_there.wait, 30)

    assert not psutil.pid_exists(pids[0])


async def test_a_process_that_cannot_be_started_is_told_as_it_is():
    with Path(os.devnull).open("wb") as output, pytest.raises(FileNotFoundError):
        async with child.child_process(("/no/such/program",), output, {}, ()):
            pass


async def test_a_model_that_ends_after_its_folder_has_gone_is_told_as_a_dead_worker(tmp_path: Path):
    """M.2: the caller hears that it may repeat; the log, which went with the folder, is not missed."""
    with Path(os.devnull).open("wb") as output:
        async with child.child_process(LASTING, output, dict(os.environ), ()) as process:
            reader = asyncio.StreamReader()
            model = ModelProcess(process, reader, cast(asyncio.StreamWriter, None), tmp_path / "gone")
            process.end()
            reader.feed_eof()
            with pytest.raises(WorkerDied):
                await model.loaded()
