"""Keeps a worker process inside its folder."""

import os
import sys
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

# Which arguments of an audit event name what is changed.
CHANGED_BY = {
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.truncate": (0,),
    "os.rename": (0, 1),
    "os.link": (1,),
    "os.symlink": (1,),
}


def confine(folder: Path) -> None:
    """From now on refuse, with a PermissionError, what Python code would write outside a folder; for good.

    This finds mistakes, such as a library that keeps a cache of its own elsewhere. It is no sandbox: native code and
    other processes are not seen.
    """
    allowed = (f"{folder.resolve()}/", "/dev/")

    def refuse_outside(event: str, args: tuple[Any, ...]) -> None:
        for path in _changed(event, args):
            if not (os.path.realpath(path) + "/").startswith(allowed):
                raise PermissionError(f"a worker writes only to its own folder, and {path} is outside")

    sys.addaudithook(refuse_outside)


def _changed(event: str, args: tuple[Any, ...]) -> list[str]:
    if event == "open":
        path, _, flags = args
        named = [path] if flags and flags & WRITING else []
    else:
        named = [args[place] for place in CHANGED_BY.get(event, ())]
    # A number is a file that is open already.
    return [os.fsdecode(path) for path in named if not isinstance(path, int)]
