"""How much of a training is over: of its steps, or of its time where that ends it first."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class _Part:
    """Something that a training does many times."""

    times: int
    seen: int = 0
    quickest: float = math.inf

    @property
    def expected(self) -> float:
        """The seconds that all of them take; 0 until that can be told. The quickest counts: what holds the machine up
        now and then, as what is done once at the first, is no pace."""
        return self.times * self.quickest if self.seen > 1 else 0.0


class Pace:
    """The clock of one training, which begins with it.

    The time counts for nothing until the pace says that it will not do: otherwise the same seed would give another
    model whenever the machine does something else for a moment.
    """

    def __init__(self, time_limit: float) -> None:
        self._time_limit = time_limit
        self._parts: dict[str, _Part] = {}
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._started

    @contextmanager
    def measuring(self, name: str, times: int) -> Iterator[None]:
        """Measure a part of the training, of which there are so many in all."""
        part = self._parts.setdefault(name, _Part(times))
        started = time.monotonic()
        yield
        part.quickest = min(part.quickest, time.monotonic() - started)
        part.seen += 1

    def passed(self, share: float) -> float:
        """How much of it is over, 1 at its end, when this share of its steps is done."""
        seconds, left = self.seconds, (1 - share) * sum(part.expected for part in self._parts.values())
        return share if seconds + left < self._time_limit else max(share, seconds / self._time_limit)
