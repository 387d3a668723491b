"""Artifacts: announced before their object is written, forgotten after it is gone."""

from dataclasses import dataclass, replace
from datetime import datetime

from services.metadata.domain.checks import check
from services.metadata.domain.entities import Artifact, ArtifactState
from services.metadata.domain.errors import ArtifactBeingDeleted
from services.metadata.domain.ports import Store, Transaction
from services.metadata.domain.records import Clock, Records, get_from, save, utc_now

WHERE = ("backend", "bucket", "uri", "size", "sha256")


@dataclass(frozen=True)
class Written:
    """Where an artifact's object was written."""

    id: str = ""
    backend: str = ""
    bucket: str = ""
    uri: str = ""
    size: int = 0
    sha256: str = ""


class Artifacts(Records[Artifact]):
    """All artifacts."""

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        super().__init__(Artifact, store, now)

    async def activate(self, written: Written) -> Artifact:
        """Record that an object is written, and where."""
        return await self._store.write(lambda transaction: activate(transaction, written, self._now()))

    async def mark_deleting(self, artifact_id: str) -> Artifact:
        """Record that an object is about to be deleted."""

        async def unit(transaction: Transaction) -> Artifact:
            artifact = await get_from(transaction, Artifact, artifact_id)
            if artifact.state is ArtifactState.DELETING:
                return artifact
            return await save(transaction, artifact, replace(artifact, state=ArtifactState.DELETING), self._now())

        return await self._store.write(unit)


async def activate(transaction: Transaction, written: Written, now: datetime) -> Artifact:
    """Make an announced artifact active; RecordNotFound when it was not announced."""
    artifact = await get_from(transaction, Artifact, written.id)
    if artifact.state is ArtifactState.DELETING:
        raise ArtifactBeingDeleted(id=artifact.id)
    place = {name: getattr(written, name) for name in WHERE}
    active = replace(artifact, state=ArtifactState.ACTIVE, **place)
    if active == artifact:
        return artifact
    check(active, WHERE)
    return await save(transaction, artifact, active, now)
