"""What is remembered of inspections has bounds."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from services.training.adapters import inspections
from services.training.adapters.inspections import InspectionFiles
from services.training.domain.inspection import Column, Inspection
from services.training.domain.model import TableFormat

FOUND = Inspection(TableFormat(), [Column("a", "int64", 0, 2)], 2, [{"a": 1}])


async def test_the_least_recently_used_go_first(tmp_path: Path):
    files = InspectionFiles(tmp_path, kept=2)
    for age, name in enumerate(("newer", "older")):
        await files.put(name, FOUND)
        os.utime(tmp_path / name, (1_000_000 - age, 1_000_000 - age))
    await files.get("older")  # now the newest
    await files.put("third", FOUND)

    assert await files.get("newer") is None
    assert await files.get("older") == await files.get("third") == FOUND
    assert {path.name for path in tmp_path.iterdir()} == {"older", "third"}


async def test_their_bytes_are_bounded(tmp_path: Path):
    long = Inspection(TableFormat(), [], 1, [{"a": "x" * 1_000}])
    files = InspectionFiles(tmp_path, kept_bytes=3_000)
    for place in range(6):
        await files.put(f"n{place}", long)
        os.utime(tmp_path / f"n{place}", (1_000_000 + place, 1_000_000 + place))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["n4", "n5"]


async def test_nothing_half_written_is_left(tmp_path: Path):
    files = InspectionFiles(tmp_path)
    await files.put("a", FOUND)
    await files.put("a", FOUND)

    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert await files.get("b") is None


async def test_the_one_after_one_that_is_cancelled_meets_nothing_half_written(tmp_path: Path, monkeypatch):
    """The thread of a cancelled call goes on: the next one waits for it, and does not lose its file to it."""
    writing, go_on, sync = threading.Event(), threading.Event(), os.fsync

    def slow_sync(descriptor: int) -> None:
        writing.set()
        assert go_on.wait(10)
        sync(descriptor)

    monkeypatch.setattr(inspections.os, "fsync", slow_sync)
    files = InspectionFiles(tmp_path)
    cancelled = asyncio.ensure_future(files.put("a", FOUND))
    assert await asyncio.to_thread(writing.wait, 10)
    cancelled.cancel()
    following = asyncio.ensure_future(files.put("a", FOUND))
    await asyncio.sleep(0.1)  # time for one that does not wait to begin
    go_on.set()
    await following
    with pytest.raises(asyncio.CancelledError):
        await cancelled

    assert await files.get("a") == FOUND
