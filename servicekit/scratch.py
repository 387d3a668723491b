"""Temporary folders that are gone when their user is, and a sweep for those whose user was killed."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from servicekit.logging import get_logger
from servicekit.threads import end_of, to_the_end

log = get_logger()


@asynccontextmanager
async def scratch_folder(parent: Path, prefix: str) -> AsyncIterator[Path]:
    """A new folder that only we can read, removed at the end of the block, whatever that end is."""
    creating = asyncio.get_running_loop().run_in_executor(None, _create, parent, prefix)
    try:
        await end_of(creating)
        yield creating.result()
    finally:
        # A call that is cancelled, however often, still removes its folder, even one that was just being made.
        if not creating.exception():
            await to_the_end(remove, creating.result())


def _create(parent: Path, prefix: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))


def remove(folder: Path) -> None:
    """Remove a folder and say so; one that cannot be removed is logged and left to the next sweep."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        log.error("[CLEANUP] cannot remove", path=str(folder), reason=str(error))
    else:
        log.info("[CLEANUP] removed", path=str(folder))


def sweep(parent: Path, keep: Iterable[Path] = ()) -> int:
    """Remove everything in a folder but what is to be kept; how many entries went. For the start of a process."""
    kept = set(keep)
    left = [entry for entry in parent.iterdir() if entry not in kept] if parent.is_dir() else []
    for entry in left:
        if entry.is_dir():
            remove(entry)
        else:
            entry.unlink(missing_ok=True)
    return len(left)
