"""Counts the records of every kind."""

from dataclasses import dataclass

from services.metadata.domain.declarations import ENTITIES, Declaration, OnDelete
from services.metadata.domain.ports import Reader
from services.metadata.domain.transfers import CARRIED

STATUSES = ("status", "state")
"""What entities call the attribute that says where in its life a record is; the first, where one has both."""


@dataclass(frozen=True)
class Counted:
    """How many records of one kind there are."""

    entity: str
    count: int
    by_status: dict[str, int]


async def count_all(reader: Reader, user_id: str = "") -> list[Counted]:
    """How many records there are of every kind, or of those kinds that a user has records of, of that user."""
    if not user_id:
        return [await _count(reader, each, {}) for each in CARRIED]
    owners = {each.name: _owner(each) for each in CARRIED}
    where = {"user_id": user_id}
    return [await _count(reader, ENTITIES[name], where, owner) for name, owner in owners.items() if owner is not None]


def _owner(declaration: Declaration) -> str | None:
    """The attribute whose record names the user; empty when the record itself does, None when nothing does.

    Metrics, which come by the million, are counted for nobody in particular.
    """
    if "user_id" in declaration.attributes:
        return ""
    belongs_to = (
        name
        for name, reference in declaration.references
        if reference.on_delete is OnDelete.CASCADE and "user_id" in ENTITIES[reference.to].attributes
    )
    return next(belongs_to, None) if declaration.key == ("id",) else None


async def _count(reader: Reader, declaration: Declaration, where: dict[str, str], through: str = "") -> Counted:
    by = [name for name in STATUSES if name in declaration.attributes][:1]
    tally = await reader.tally(declaration.kind, where, by, through)
    by_status = {str(key[0]): count for key, count in sorted(tally.items())} if by else {}
    return Counted(declaration.name, sum(tally.values()), by_status)
