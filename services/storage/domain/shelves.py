"""The backends behind each placement, and which of them hold an object."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.storage.domain.errors import (
    BackendFailure,
    BackendUnreachable,
    ObjectDamaged,
    ObjectNotFound,
    UnknownBackend,
    UnknownPlacement,
)
from services.storage.domain.model import HOME, Kept, ObjectName, StoredObject
from services.storage.domain.placements import LOCAL, OnError, Placement
from services.storage.domain.ports import Backend
from services.storage.domain.turns import Turns

ASK_SECONDS = 20.0
"""What a backend may take to say whether it has an object, with all its repeats: others may stand in for it."""


Silent = dict[Backend, BackendFailure]
"""Backends that could not be asked in the course of one call, and why."""


@dataclass(frozen=True)
class Shelf:
    """One placement, and the backends that serve it."""

    policy: Placement
    chain: tuple[Backend, ...]
    """In order of preference; the first is home to new objects."""
    local: Backend | None

    @property
    def home(self) -> Backend:
        """The backend that should hold every new object."""
        return self.chain[0]

    @property
    def readers(self) -> tuple[Backend, ...]:
        """Every backend that may hold an object: what was kept here before another backend came stays readable."""
        return tuple(dict.fromkeys([*self.chain, *self._local]))

    @property
    def targets(self) -> tuple[Backend, ...]:
        """The backends to which the bytes of an upload go, home first."""
        following = self.chain[1:] if self.policy.on_error is OnError.NEXT else ()
        return tuple(dict.fromkeys([self.home, *following, *self.wanted]))

    @property
    def wanted(self) -> tuple[Backend, ...]:
        """The backends that hold an object when all is well."""
        return tuple(dict.fromkeys([self.home, *(self._local if self.policy.keep_local_copy else ())]))

    @property
    def _local(self) -> tuple[Backend, ...]:
        return (self.local,) if self.local else ()

    def backend(self, name: str) -> Backend:
        """One of its backends by name. Fails with UnknownBackend."""
        for backend in self.readers:
            if backend.name == name:
                return backend
        known = ", ".join(backend.name for backend in self.readers)
        raise UnknownBackend(placement=self.policy.name, known=known)

    async def find(self, name: ObjectName, everywhere: bool = False, silent: Silent | None = None) -> Kept:
        """An object and where it is. Fails with ObjectNotFound, and ObjectDamaged.

        A backend that cannot be asked, or whose copy is damaged, is passed over when another holds the object, unless
        it has to be known everywhere; it fails the call when none does. Who is silent is not asked again, and who
        cannot be asked becomes so.
        """
        silent = {} if silent is None else silent
        answers = await asyncio.gather(*(_asked(backend, name, silent) for backend in self.readers))
        copies = [answer for answer in answers if isinstance(answer, StoredObject)]
        failures = [answer for answer in answers if isinstance(answer, BackendFailure | ObjectDamaged)]
        if failures and (everywhere or not copies):
            raise min(failures, key=lambda failure: isinstance(failure, ObjectDamaged))
        if not copies:
            raise ObjectNotFound(key=name.key, placement=name.placement)
        return self.kept(copies)

    def kept(self, copies: Sequence[StoredObject]) -> Kept:
        """An object of these copies, in the order of preference."""
        fell_back = copies[0].draft.context.get(HOME, "") == self.home.name != copies[0].backend
        return Kept(tuple(copies), fell_back)


async def _asked(
    backend: Backend, name: ObjectName, silent: Silent
) -> StoredObject | BackendFailure | ObjectDamaged | None:
    if backend in silent:
        return silent[backend]
    try:
        async with asyncio.timeout(ASK_SECONDS):
            return await backend.stat(name)
    except ObjectNotFound:
        return None
    except ObjectDamaged as damage:
        return damage
    except TimeoutError:
        silent[backend] = BackendUnreachable(backend=backend.name, why="it does not answer in time")
    except BackendFailure as failure:
        silent[backend] = failure
    return silent[backend]


class Shelves:
    """All placements over the backends that the service has.

    A placement leaves out the backends that are off, unless it requires them; `off` has those, and they fail.
    """

    def __init__(
        self, placements: Sequence[Placement], backends: Mapping[str, Backend], off: Mapping[str, Backend] | None = None
    ) -> None:
        self.backends = backends
        self.off = off or {}
        self.turns = Turns()
        """Whoever publishes, copies or deletes an object takes one, so that none does so halfway through another."""
        self._by_placement = {place.name: self._shelf(place) for place in placements}

    def __iter__(self) -> Iterator[Shelf]:
        return iter(self._by_placement.values())

    def of(self, placement: str) -> Shelf:
        """The shelf of a placement. Fails with UnknownPlacement."""
        if placement not in self._by_placement:
            raise UnknownPlacement(known=", ".join(self._by_placement))
        return self._by_placement[placement]

    def _shelf(self, place: Placement) -> Shelf:
        usable = {**self.off, **self.backends} if place.required else self.backends
        names = [name for name in place.backends if name in usable] or [LOCAL]
        return Shelf(place, tuple(usable[name] for name in names), self.backends.get(LOCAL))
