"""Journal: what a training tells, for any number of readers."""

import asyncio

from services.training.domain.journal import Journal
from services.training.domain.model import Metric, Progress, Stage


def progress(fraction: float) -> Progress:
    return Progress(fraction, Stage.TRAINING, "")


async def read(journal: Journal, joining: bool) -> list[float]:
    return [event.fraction if isinstance(event, Progress) else event.value async for event in journal.follow(joining)]


async def test_progress_never_goes_down_nor_beyond_one():
    journal = Journal()
    for fraction in (0.2, 0.1, float("nan"), 0.5, 7.0, -1.0):
        journal.add(progress(fraction))
    journal.close()

    assert await read(journal, joining=False) == [0.2, 0.2, 0.2, 0.5, 1.0, 1.0]


async def test_one_who_joins_starts_with_the_newest_progress_and_misses_no_metric():
    """M.3: who joins may have lost the stream before, and with it the metrics that were told meanwhile."""
    journal = Journal()
    journal.add(progress(0.1))
    journal.add(progress(0.2))
    journal.add(Metric("accuracy", 9.0))
    reading = asyncio.create_task(read(journal, joining=True))
    await asyncio.sleep(0)
    journal.add(Metric("accuracy", 8.0))
    journal.close()

    assert await reading == [0.2, 9.0, 8.0]


async def test_one_who_joins_before_anything_is_told_hears_all():
    journal = Journal()
    reading = asyncio.create_task(read(journal, joining=True))
    await asyncio.sleep(0)
    journal.add(Metric("accuracy", 9.0))
    journal.add(progress(0.1))
    journal.close()

    assert await reading == [9.0, 0.1]


async def test_what_is_told_while_one_who_joins_reads_comes_once():
    journal = Journal()
    journal.add(Metric("loss", 1.0))
    journal.add(Metric("loss", 2.0))
    events = journal.follow(joining=True)
    heard = [await anext(events)]
    journal.add(Metric("loss", 3.0))
    journal.close()
    heard += [event async for event in events]

    assert [event.value for event in heard] == [1.0, 2.0, 3.0]


async def test_a_slow_reader_misses_the_oldest_only():
    journal = Journal(kept=3)
    for value in range(10):
        journal.add(Metric("loss", value))
    journal.close()

    assert await read(journal, joining=False) == [7, 8, 9]


async def test_readers_wait_for_what_comes():
    journal = Journal()
    readers = [asyncio.create_task(read(journal, joining=False)) for _ in range(3)]
    for value in range(5):
        await asyncio.sleep(0)
        journal.add(Metric("loss", value))
    journal.close()

    assert await asyncio.gather(*readers) == [[0, 1, 2, 3, 4]] * 3
