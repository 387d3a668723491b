"""What is remembered of inspections has bounds."""

import os
from pathlib import Path

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
