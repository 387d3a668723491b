"""What falls with a record that is deleted, as the references of the other entities declare."""

import secrets
from datetime import datetime
from typing import Any

from services.metadata.domain.declarations import ENTITIES, Declaration, OnDelete, Reference
from services.metadata.domain.errors import RecordInUse
from services.metadata.domain.ports import Query, Transaction

BATCH = 500


def new_etag() -> str:
    """A mark that no earlier state of any record had."""
    return secrets.token_hex(8)


async def remove(transaction: Transaction, declaration: Declaration, record_id: str, now: datetime) -> int:
    """Delete a record with all that falls with it; how many records went. RecordInUse while one holds on to it."""
    record = await transaction.get(declaration.kind, record_id)
    if record is None:
        return 0
    count = 0
    for dependent, name, reference in declaration.dependents:
        count += await _let_go(transaction, declaration, dependent, (name, reference, record_id), now)
    count += await transaction.remove(declaration.kind, {"id": record_id})
    for name, reference in declaration.references:
        if reference.owned and (owned := getattr(record, name)):
            count += await remove(transaction, ENTITIES[reference.to], owned, now)
    return count


async def _let_go(
    transaction: Transaction,
    declaration: Declaration,
    dependent: Declaration,
    link: tuple[str, Reference, str],
    now: datetime,
) -> int:
    name, reference, record_id = link
    where = {name: record_id}
    if reference.on_delete is OnDelete.SET_NULL:
        await transaction.change(dependent.kind, where, {name: None, "update_time": now, "etag": new_etag()})
        return 0
    if reference.on_delete is OnDelete.CASCADE:
        removed = await _remove_all(transaction, dependent, where, now)
        return 0 if dependent.derived else removed
    if await transaction.find(dependent.kind, Query(where)):
        raise RecordInUse(label=declaration.label, id=record_id, dependent=dependent.label)
    return 0


async def _remove_all(transaction: Transaction, declaration: Declaration, where: dict[str, Any], now: datetime) -> int:
    stands_alone = not declaration.dependents and not any(each.owned for _, each in declaration.references)
    if stands_alone:
        return await transaction.remove(declaration.kind, where)
    count = 0
    while records := await transaction.find(declaration.kind, Query(where, limit=BATCH)):
        for record in records:
            count += await remove(transaction, declaration, record.id, now)
    return count
