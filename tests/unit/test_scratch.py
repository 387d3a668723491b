"""Temporary folders."""

import asyncio
import threading
from pathlib import Path

import pytest

from servicekit import scratch


async def test_whoever_is_cancelled_leaves_no_folder_however_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """002.6: not even one that is being made, which no cancel stops."""
    begun, go_on, made = threading.Event(), threading.Event(), threading.Event()
    make = scratch._create

    def slowly(parent: Path, prefix: str) -> Path:
        begun.set()
        assert go_on.wait(30)
        folder = make(parent, prefix)
        made.set()
        return folder

    async def use() -> None:
        async with scratch.scratch_folder(tmp_path, "inspect_"):
            raise AssertionError("it was cancelled before")

    monkeypatch.setattr(scratch, "_create", slowly)
    task = asyncio.create_task(use())
    assert await asyncio.to_thread(begun.wait, 30)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(made.wait, 30)

    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_cannot_be_made_is_told_as_it_is(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        async with scratch.scratch_folder(tmp_path / "file", "inspect_"):
            pass
