"""Work that nobody can cancel, such as that of threads."""

import asyncio
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def to_the_end(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function in a thread. Each cancel waits for it to end: no thread is left writing where we clean up."""
    running = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    await end_of(running)
    return running.result()


async def end_of(future: asyncio.Future[Any]) -> None:
    """Wait for the end of what nobody can stop; a cancel meanwhile, or several, counts once it has come."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled:
        raise cancelled
