"""Artifacts: announced before their object is written, kept until it is gone, and longer where others refer to them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.metadata.domain.checks import check
from services.metadata.domain.entities import GONE, Artifact, ArtifactCopy, ArtifactState
from services.metadata.domain.errors import (
    ArtifactBeingDeleted,
    ArtifactBytesDiffer,
    ArtifactGone,
    ArtifactNotActive,
    ArtifactStillActive,
    RecordNotFound,
)
from services.metadata.domain.ports import Query, Store, Transaction
from services.metadata.domain.records import Clock, Records, get_from, save, utc_now

Change = Callable[[Artifact], Artifact]
WHERE = ("backend", "bucket", "uri", "copies", "fallback")
WRITTEN = (*WHERE, "size", "sha256", "storage_failures", "expire_time")
RETIRED = {ArtifactState.DELETING: ArtifactState.DELETED, ArtifactState.PENDING: ArtifactState.ABANDONED}


@dataclass(frozen=True)
class Written:
    """Where an artifact's object was written."""

    id: str = ""
    backend: str = ""
    bucket: str = ""
    uri: str = ""
    size: int = 0
    sha256: str = ""
    copies: list[ArtifactCopy] = field(default_factory=list)
    fallback: bool = False
    storage_failures: list[str] = field(default_factory=list)
    expire_time: datetime | None = None


@dataclass(frozen=True)
class Moved:
    """Where an artifact's object is now."""

    id: str = ""
    backend: str = ""
    bucket: str = ""
    uri: str = ""
    sha256: str = ""
    copies: list[ArtifactCopy] = field(default_factory=list)
    fallback: bool = False


class Artifacts(Records[Artifact]):
    """All artifacts."""

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        super().__init__(Artifact, store, now)

    async def activate(self, written: Written) -> Artifact:
        """Record that an object is written, and where."""
        return await self._store.write(lambda transaction: activate(transaction, written, self._now()))

    async def relocate(self, moved: Moved) -> Artifact:
        """Record where an active artifact's object is now."""

        def change(artifact: Artifact) -> Artifact:
            if artifact.state is not ArtifactState.ACTIVE:
                raise ArtifactNotActive(id=artifact.id, state=artifact.state)
            if artifact.sha256 != moved.sha256:
                raise ArtifactBytesDiffer(id=artifact.id)
            return _placed(artifact, moved, WHERE)

        return await self._change(moved.id, change)

    async def mark_deleting(self, artifact_id: str) -> Artifact:
        """Record that an object is about to be deleted."""
        return await self._change(artifact_id, lambda artifact: replace(artifact, state=ArtifactState.DELETING))

    async def retire(self, artifact_id: str) -> Artifact:
        """Record that an object is gone for good, or never came, while its record stays."""

        def change(artifact: Artifact) -> Artifact:
            if artifact.state is ArtifactState.ACTIVE:
                raise ArtifactStillActive(id=artifact.id)
            retired = RETIRED.get(artifact.state, artifact.state)
            return replace(artifact, state=retired, copies=[], fallback=False)  # where it was stays for readers

        return await self._change(artifact_id, change)

    async def count_download(self, placement: str, key: str) -> Artifact:
        """Count one finished download. One statement does it, so that no count is lost and nobody has to repeat."""
        where = {"placement": placement, "key": key}

        async def unit(transaction: Transaction) -> list[Artifact]:
            await transaction.count(Artifact, where, "download_count")
            return await transaction.find(Artifact, Query(where))

        found = await self._store.write(unit)
        if not found:
            raise RecordNotFound(label="artifact", id=f"{placement}/{key}")
        return found[0]

    async def _change(self, artifact_id: str, change: Change) -> Artifact:
        async def unit(transaction: Transaction) -> Artifact:
            artifact = await get_from(transaction, Artifact, artifact_id)
            changed = change(artifact)
            return artifact if changed == artifact else await save(transaction, artifact, changed, self._now())

        return await self._store.write(unit)


async def activate(transaction: Transaction, written: Written, now: datetime) -> Artifact:
    """Make an announced artifact active; RecordNotFound when it was not announced."""
    artifact = await get_from(transaction, Artifact, written.id)
    if artifact.state is ArtifactState.DELETING:
        raise ArtifactBeingDeleted(id=artifact.id)
    if artifact.state in GONE:
        raise ArtifactGone(id=artifact.id, state=artifact.state)
    active = replace(artifact, state=ArtifactState.ACTIVE, write_time=artifact.write_time or now)
    active = _placed(active, written, WRITTEN)
    return artifact if active == artifact else await save(transaction, artifact, active, now)


def _placed(artifact: Artifact, told: Written | Moved, names: tuple[str, ...]) -> Artifact:
    """The artifact with what is told of its object; the one place it is read from counts as a copy."""
    values = {name: getattr(told, name) for name in names}
    values["copies"] = told.copies or [ArtifactCopy(told.backend, told.bucket, told.uri)]
    placed = replace(artifact, **values)
    check(placed, names)
    return placed
