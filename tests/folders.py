"""Looks into folders that are being written to and removed."""

import os
from pathlib import Path


def paths_below(folder: Path) -> list[Path]:
    """All that lies in a folder, however deep; nothing when there is no such folder.

    A folder that is removed while it is looked into is none, where Path.rglob would fail.
    """
    return [Path(place, name) for place, folders, files in os.walk(folder) for name in (*folders, *files)]
