"""What upkeep found and did, told one thing at a time."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from grpc.aio import AioRpcError

from modelyard.storage.v1.storage_pb2 import ObjectFailure, ObjectName


class Outcome(StrEnum):
    """What became of a finding."""

    DONE = "done"
    PLANNED = "planned"
    """It would be done, if this were no dry run."""
    OPEN = "open"
    """It is left as it is, for a person to decide."""
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """One thing that upkeep came upon, and what became of it."""

    kind: str
    """A stable name for programs: expired, replicated, moved, orphan, lost and others."""
    outcome: Outcome
    message: str
    """One sentence for people."""
    placement: str = ""
    key: str = ""
    size: int = 0
    """Bytes."""
    backend: str = ""
    artifact_id: str = ""

    def shown(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "kind": self.kind,
            "outcome": self.outcome.value,
            "message": self.message,
            "placement": self.placement,
            "key": self.key,
            "size": self.size,
            "backend": self.backend,
            "artifactId": self.artifact_id,
        }


@dataclass(frozen=True)
class Looked:
    """So many more objects and records were looked at."""

    count: int


Step = Finding | Looked


@dataclass
class Summary:
    """All steps so far, added up."""

    looked_at: int = 0
    size: int = 0
    """Bytes of what was done, or would be."""
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, step: Step) -> None:
        """Take a step into account."""
        if isinstance(step, Looked):
            self.looked_at += step.count
            return
        self.outcomes[step.outcome] += 1
        self.kinds[step.kind] += 1
        if step.outcome in (Outcome.DONE, Outcome.PLANNED):
            self.size += step.size

    def shown(self) -> dict[str, Any]:
        """As JSON."""
        outcomes = {outcome.value: self.outcomes[outcome] for outcome in Outcome}
        return {"lookedAt": self.looked_at, "size": self.size, "kinds": dict(self.kinds), **outcomes}


def acted(dry_run: bool) -> Outcome:
    """What becomes of a finding that something is done about."""
    return Outcome.PLANNED if dry_run else Outcome.DONE


def failed(name: ObjectName, error: AioRpcError, size: int = 0, artifact_id: str = "") -> Finding:
    """Something that a service could not do; it is left for the next time."""
    message = error.details() or f"The service answered {error.code().name}."
    return Finding("failed", Outcome.FAILED, message, name.placement, name.key, size, artifact_id=artifact_id)


def failed_there(failure: ObjectFailure) -> Finding:
    """Something that the storage service could not do to an object; it is left for the next time."""
    name, why = failure.name, failure.failure
    return Finding("failed", Outcome.FAILED, why.message, name.placement, name.key, backend=why.backend)
