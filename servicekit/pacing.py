"""Does a thing to many, a few at a time, and holds no more of them than that."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AT_ONCE = 8


async def paced(
    items: AsyncIterator[Item], work: Callable[[Item], Coroutine[Any, Any, Result]], most: int = AT_ONCE
) -> AsyncGenerator[Result, None]:
    """The results of some work on every item, in their order. Who stops listening cancels what runs."""
    running: deque[asyncio.Task[Result]] = deque()
    try:
        async for item in items:
            running.append(asyncio.create_task(work(item)))
            if len(running) >= most:
                yield await running.popleft()
        while running:
            yield await running.popleft()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def each(items: Iterable[Item]) -> AsyncIterator[Item]:
    """Items that are here already, as a stream."""
    for item in items:
        yield item
