"""Work in threads, which nobody can cancel."""

import asyncio
import threading

import pytest

from servicekit.threads import to_the_end


async def test_what_it_gives_or_raises_is_passed_on():
    assert await to_the_end(int, "7") == 7
    with pytest.raises(ValueError, match="seven"):
        await to_the_end(int, "seven")


async def test_whoever_is_cancelled_waits_for_the_thread_however_often():
    begun, go_on, over = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go_on.wait(30)
        over.set()

    task = asyncio.create_task(to_the_end(work))
    assert await asyncio.to_thread(begun.wait, 30)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    waited = not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert waited
    assert over.is_set()
