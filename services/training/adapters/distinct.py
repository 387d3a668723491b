"""Counts distinct values exactly, in bounded memory."""

import itertools
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

Hashes = np.ndarray[Any, np.dtype[np.uint64]]

HASHES_IN_MEMORY = 4_000_000
BLOCK = 1_000_000


class DistinctCounter:
    """Takes values as 64-bit hashes, under a name each; when there are many, files hold them.

    Two of ten million distinct values share a hash with a chance of three in a million.
    """

    def __init__(self, folder: Path, in_memory: int = HASHES_IN_MEMORY) -> None:
        self._folder = folder
        self._room = in_memory
        self._in_memory = in_memory
        self._held: dict[str, list[Hashes]] = defaultdict(list)
        self._files: dict[str, Path] = {}
        self._numbers = itertools.count()

    def add(self, name: str, hashes: Hashes) -> None:
        """Take more values of a name; some may have come before."""
        self._held[name].append(hashes)
        self._room -= len(hashes)
        if self._room < 0:
            self._spill()

    def count(self, name: str) -> int:
        """How many distinct values came under a name."""
        if name not in self._files:
            return len(np.unique(np.concatenate(self._held[name]))) if self._held[name] else 0
        self._spill()
        hashes = np.memmap(self._files[name], dtype=np.uint64, mode="r+")
        hashes.sort()
        # Neighbours are compared a block at a time; one element overlaps.
        starts = range(0, len(hashes) - 1, BLOCK)
        return 1 + sum(int(np.count_nonzero(np.diff(hashes[start : start + BLOCK + 1]))) for start in starts)

    def forget(self, name: str) -> None:
        """Count a name from nothing again."""
        self._held.pop(name, None)
        if path := self._files.pop(name, None):
            path.unlink()

    def _spill(self) -> None:
        for name, held in self._held.items():
            if name not in self._files:
                self._files[name] = self._folder / f"hashes_{next(self._numbers)}"
            with self._files[name].open("ab") as file:
                for hashes in held:
                    file.write(hashes.tobytes())
        self._held.clear()
        self._room = self._in_memory
