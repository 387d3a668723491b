"""Placements: the policies under which objects are stored, as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.storage.domain.errors import ObjectNotFound, UnknownPlacement
from services.storage.domain.model import ObjectName
from services.storage.domain.ports import Backend


@dataclass(frozen=True)
class Placement:
    """Where objects of one kind are kept."""

    name: str
    backends: tuple[str, ...]
    """The first takes new objects; all of them are read from, in this order."""


PLACEMENTS = (
    Placement("datasets", ("local",)),
    Placement("models", ("local",)),
    Placement("projects", ("local",)),
)


class Shelves:
    """The backends behind each placement."""

    def __init__(self, placements: Sequence[Placement], backends: Mapping[str, Backend]) -> None:
        self.backends = backends
        self._behind = {place.name: [backends[name] for name in place.backends] for place in placements}

    def behind(self, placement: str) -> list[Backend]:
        """The backends of a placement, preferred first. Fails with UnknownPlacement."""
        if placement not in self._behind:
            raise UnknownPlacement(known=", ".join(self._behind))
        return self._behind[placement]

    async def holder(self, name: ObjectName) -> Backend:
        """The backend to ask for an object: the first that has it, else the last, which then says that it has not."""
        *preferred, last = self.behind(name.placement)
        for backend in preferred:
            if await _holds(backend, name):
                return backend
        return last


async def _holds(backend: Backend, name: ObjectName) -> bool:
    try:
        await backend.stat(name)
    except ObjectNotFound:
        return False
    return True
