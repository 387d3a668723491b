"""Holds long arrays of 64-bit numbers under a name each; when there are many, in files."""

import itertools
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

Numbers = np.ndarray[Any, np.dtype[Any]]

IN_MEMORY = 2_000_000
# What is kept of a column, and of all columns together: at most 256 MB of files, twice that for a moment.
KEPT = 2_000_000
KEPT_OF_ALL = 32_000_000


def room_for(columns: int) -> int:
    """How many numbers may be kept of each of so many columns."""
    return max(1_000, min(KEPT, KEPT_OF_ALL // max(1, columns)))


class Spill:
    """Arrays by name. Those of one name are of one type, of 8 bytes an element."""

    def __init__(self, folder: Path, in_memory: int = IN_MEMORY) -> None:
        self._folder = folder
        self._in_memory = in_memory
        self._room = in_memory
        self._held: dict[str, list[Numbers]] = defaultdict(list)
        self._files: dict[str, Path] = {}
        self._places = itertools.count()
        self._counts: Counter[str] = Counter()

    def add(self, name: str, numbers: Numbers) -> int:
        """Keep more under a name; how many there are now."""
        self._held[name].append(numbers)
        self._counts[name] += len(numbers)
        self._room -= len(numbers)
        if self._room < 0:
            self._write()
        return self._counts[name]

    def load(self, name: str, dtype: type[np.generic]) -> Numbers:
        """All that is kept under a name, as a new array."""
        written = [np.fromfile(self._files[name], dtype=dtype)] if name in self._files else []
        return np.concatenate([np.empty(0, dtype=dtype), *written, *self._held.get(name, [])])

    def replace(self, name: str, numbers: Numbers) -> None:
        """Keep these in place of what was kept."""
        self.forget(name)
        self.add(name, numbers)

    def forget(self, name: str) -> None:
        """Keep nothing of a name."""
        self._room += sum(len(numbers) for numbers in self._held.pop(name, []))
        self._counts.pop(name, None)
        if path := self._files.pop(name, None):
            path.unlink()

    def _write(self) -> None:
        for name, held in self._held.items():
            if name not in self._files:
                self._files[name] = self._folder / f"spill_{next(self._places)}"
            with self._files[name].open("ab") as file:
                for numbers in held:
                    file.write(numbers.tobytes())
        self._held.clear()
        self._room = self._in_memory
