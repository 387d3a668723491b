"""The processes that live in a worker's folder: those of its group, and those that have left it."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path


def tenants_of(folder: Path) -> Iterator[int]:
    """Processes whose home is in a folder, as a worker's is and that of all it starts, in whichever group they are."""
    mark = f"HOME={folder}/".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            # Not ours, or ended meanwhile; one that has ended and is not reaped yet has no environment.
            with contextlib.suppress(OSError):
                if any(line.startswith(mark) for line in (entry / "environ").read_bytes().split(b"\0")):
                    yield int(entry.name)


def evict(folder: Path) -> int:
    """Kill the processes that live in a folder; how many there were."""
    found = list(tenants_of(folder))
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(found)
