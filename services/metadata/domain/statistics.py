"""Counts the records of every kind."""

from dataclasses import dataclass

from services.metadata.domain.declarations import ENTITIES, Declaration
from services.metadata.domain.ports import Reader

STATUSES = ("status", "state")
"""What entities call the attribute that says where in its life a record is."""


@dataclass(frozen=True)
class Counted:
    """How many records of one kind there are."""

    entity: str
    count: int
    by_status: dict[str, int]


async def count_all(reader: Reader, user_id: str = "") -> list[Counted]:
    """How many records there are of every kind, or of those kinds that name a user, of that user."""
    told = (each for each in ENTITIES.values() if not each.derived)
    wanted = [each for each in told if not user_id or "user_id" in each.attributes]
    return [await _count(reader, each, {"user_id": user_id} if user_id else {}) for each in wanted]


async def _count(reader: Reader, declaration: Declaration, where: dict[str, str]) -> Counted:
    by = [name for name in STATUSES if name in declaration.attributes]
    tally = await reader.tally(declaration.kind, where, by)
    by_status = {str(key[0]): count for key, count in sorted(tally.items())} if by else {}
    return Counted(declaration.name, sum(tally.values()), by_status)
