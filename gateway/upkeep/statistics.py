"""How much is kept where, counted from the objects themselves."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from gateway.peers import Peers
from gateway.upkeep.reading import copies_of, objects, placements
from modelyard.storage.v1.storage_pb2 import Object


@dataclass
class Amount:
    """Objects, and their bytes."""

    count: int = 0
    size: int = 0

    def add(self, size: int) -> None:
        """One more."""
        self.count += 1
        self.size += size

    def shown(self) -> dict[str, int]:
        """As JSON."""
        return {"count": self.count, "size": self.size}


@dataclass
class Shelf:
    """What one placement keeps: in all, at each backend, and what is not where it belongs."""

    total: Amount = field(default_factory=Amount)
    backends: defaultdict[str, Amount] = field(default_factory=lambda: defaultdict(Amount))
    fallback: Amount = field(default_factory=Amount)
    expiring: Amount = field(default_factory=Amount)

    def add(self, stored: Object) -> None:
        """One more object. It counts once in all, and once at each backend that holds a copy."""
        self.total.add(stored.size)
        for copy in copies_of(stored):
            self.backends[copy.backend].add(stored.size)
        if stored.fallback:
            self.fallback.add(stored.size)
        if stored.HasField("expire_time"):
            self.expiring.add(stored.size)

    def shown(self) -> dict[str, Any]:
        """As JSON."""
        return {
            **self.total.shown(),
            "backends": {name: amount.shown() for name, amount in sorted(self.backends.items())},
            "fallback": self.fallback.shown(),
            "expiring": self.expiring.shown(),
        }


async def statistics(peers: Peers) -> dict[str, Any]:
    """Counts and bytes of every placement and backend, as JSON. It looks at every object, so it takes its time."""
    shelves: dict[str, Shelf] = {}
    for policy in await placements(peers):
        shelves[policy.name] = Shelf()
        async for stored in objects(peers, policy.name):
            shelves[policy.name].add(stored)
    backends: defaultdict[str, Amount] = defaultdict(Amount)
    for shelf in shelves.values():
        for name, amount in shelf.backends.items():
            backends[name].count += amount.count
            backends[name].size += amount.size
    return {
        "count": sum(shelf.total.count for shelf in shelves.values()),
        "size": sum(shelf.total.size for shelf in shelves.values()),
        "placements": {name: shelf.shown() for name, shelf in shelves.items()},
        "backends": {name: amount.shown() for name, amount in sorted(backends.items())},
    }
