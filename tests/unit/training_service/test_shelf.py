"""The folders of trainings on disk."""

import asyncio
import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from services.training import bootstrap
from services.training.adapters.scratch import ScratchInUse, clear, opened, probe
from services.training.adapters.shelf import FolderShelf
from services.training.adapters.tombstones import KEPT_SECONDS, FolderTombstones
from services.training.domain.model import (
    DatasetSource,
    FinishedTraining,
    Metric,
    ProblemType,
    TrainingResult,
    TrainingSpec,
)

CONTENT = b"model" * 1000
SPEC = TrainingSpec("t1", "tabular", DatasetSource("d1", "datasets", "k"))
METRICS = [Metric("loss", 0.5, step=1, split="validation"), Metric("loss", 0.25, step=2, split="validation")]


def result(age: timedelta = timedelta()) -> TrainingResult:
    now = datetime.now(UTC) - age
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    return TrainingResult(
        "t1", "quick", "M", "y", ProblemType.BINARY, "accuracy", 1.0, [], 8, 2, ["x"], [], [], {}, {}, len(CONTENT),
        sha256, "", now, now,
    )  # fmt: skip


async def keep(shelf: FolderShelf, age: timedelta = timedelta()) -> None:
    async with shelf.folder(SPEC) as folder:
        (folder / "artifact.zip").write_bytes(CONTENT)
        (folder / "working").mkdir()
        await shelf.keep(FinishedTraining(SPEC, METRICS, result(age)))


@pytest.fixture
def tombstones(tmp_path: Path) -> FolderTombstones:
    found = FolderTombstones(tmp_path / "cancelled")
    found.reopen()
    return found


async def test_what_was_kept_is_found_again(tmp_path: Path, tombstones: FolderTombstones):
    await keep(FolderShelf(tmp_path))
    again = FolderShelf(tmp_path)
    folders = again.reopen(tombstones)

    assert folders == [tmp_path / "model_t1"]
    assert again.finished("t1").spec == SPEC
    assert again.finished("t1").metrics == METRICS
    assert b"".join([chunk async for chunk in again.read("t1")]) == CONTENT


async def test_a_folder_is_gone_when_its_block_fails_or_is_cancelled(tmp_path: Path):
    shelf, is_there = FolderShelf(tmp_path), asyncio.Event()

    async def stay() -> None:
        async with shelf.folder(SPEC):
            is_there.set()
            await asyncio.sleep(3600)

    staying = asyncio.create_task(stay())
    await is_there.wait()
    was_there = (tmp_path / "model_t1").is_dir()
    staying.cancel()
    await asyncio.wait([staying])

    assert was_there
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["artifact.zip", "result.jsonl", "spec.json"])
@pytest.mark.parametrize("how", ["missing", "cut"])
async def test_half_a_training_is_none(tmp_path: Path, tombstones: FolderTombstones, damage: str, how: str):
    await keep(FolderShelf(tmp_path))
    path = tmp_path / "model_t1" / damage
    path.unlink() if how == "missing" else path.write_bytes(path.read_bytes()[:-9])

    assert FolderShelf(tmp_path).reopen(tombstones) == []


async def test_one_that_was_cancelled_is_not_found_again(tmp_path: Path, tombstones: FolderTombstones):
    await keep(FolderShelf(tmp_path))
    await tombstones.add("t1")

    assert FolderShelf(tmp_path).reopen(tombstones) == []


async def test_one_that_nobody_releases_goes_in_the_end(tmp_path: Path):
    shelf = FolderShelf(tmp_path)
    await keep(shelf, age=timedelta(hours=73))
    too_young = await shelf.remove_older(74)
    old_enough = await shelf.remove_older(72)

    assert (too_young, old_enough) == (0, 1)
    assert list(tmp_path.iterdir()) == []


async def test_tombstones_are_found_again_and_expire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tombstones = FolderTombstones(tmp_path)
    tombstones.reopen()
    await tombstones.add("t1")
    again = FolderTombstones(tmp_path)
    again.reopen()
    remembered = again.has("t1")
    now = datetime.now(UTC).timestamp()
    monkeypatch.setattr("time.time", lambda: now + KEPT_SECONDS + 1)
    await again.remove_expired()

    assert remembered
    assert not again.has("t1")
    assert list(tmp_path.iterdir()) == []


async def test_a_cancelled_training_is_remembered_through_a_power_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """M.3: a folder's new entry survives one only when the folder itself was synced."""
    synced: list[Path] = []
    monkeypatch.setattr("services.training.adapters.tombstones.sync", synced.append)
    tombstones = FolderTombstones(tmp_path / "cancelled")
    tombstones.reopen()
    await tombstones.add("t1")

    assert synced == [tmp_path, tmp_path / "cancelled"]


def test_a_file_among_the_folders_of_trainings_is_no_training(tmp_path: Path, tombstones: FolderTombstones):
    """M.3: the service starts, whatever somebody has put there."""
    (tmp_path / "model_notes.txt").write_text("a note")

    assert FolderShelf(tmp_path).reopen(tombstones) == []


@pytest.mark.parametrize("stray", ["t1/note.txt", "t1"])
def test_a_tombstone_that_cannot_be_removed_keeps_no_service_from_starting(
    tmp_path: Path, stray: str, monkeypatch: pytest.MonkeyPatch
):
    """M.3: somebody has put something there; the log says so."""
    path = tmp_path / stray
    path.parent.mkdir(exist_ok=True)
    path.write_text("a note")
    os.utime(tmp_path / "t1", (0, 0))
    tombstones = FolderTombstones(tmp_path)
    with capture_logs() as told:
        monkeypatch.setattr("services.training.adapters.tombstones.log", structlog.get_logger())
        tombstones.reopen()

    assert not tombstones.has("t1")
    assert path.exists()
    assert [event["path"] for event in told] == [str(tmp_path / "t1")]


async def test_a_sweep_that_fails_is_not_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """002.6: the disk may have had a bad moment."""
    kept, rounds, again = bootstrap.Kept.found_in(tmp_path), [], asyncio.Event()

    async def fail(hours: float) -> int:
        rounds.append(hours)
        if len(rounds) > 1:
            again.set()
        raise OSError("a bad moment")

    monkeypatch.setattr(bootstrap, "SWEEP_SECONDS", 0)
    monkeypatch.setattr(kept.shelf, "remove_older", fail)
    sweeping = asyncio.create_task(kept.keep_sweeping(72))
    async with asyncio.timeout(30):
        await again.wait()
    sweeping.cancel()
    await asyncio.wait([sweeping])

    assert sweeping.cancelled()


def test_the_scratch_folder_is_swept_but_for_what_is_kept(tmp_path: Path):
    for name in ("model_t1", "inspect_x", "gone_y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lock").touch()
    with opened(tmp_path):
        clear(tmp_path, keep=[tmp_path / "model_t1"])
        probe(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["model_t1"]


def test_a_folder_has_one_service(tmp_path: Path):
    with opened(tmp_path), pytest.raises(ScratchInUse), opened(tmp_path):
        pass
    with opened(tmp_path):
        reopened = True

    assert reopened
