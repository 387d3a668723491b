"""Writes many records at once: new ones in bulk, and only those that are there already one over the other."""

from collections.abc import Sequence
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClientSession, AsyncIOMotorCollection
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from services.metadata.adapters.mongodb.documents import ID, Document, Layout
from services.metadata.adapters.mongodb.failures import duplicate_of


async def load(
    collection: "AsyncIOMotorCollection[Document]",
    layout: Layout,
    records: Sequence[Any],
    session: AsyncIOMotorClientSession | None,
) -> bool:
    """Write records, each over the one of its id; whether all are new. Duplicate for a value that another one has.

    What others have put into a document that is there already stays.
    """
    ids = [each for record in records for each in layout.ids(record.id)]
    found = await collection.find({ID: {"$in": ids}}, [ID], session=session).to_list(None)
    there = {str(document[ID]): document[ID] for document in found}
    values = [name for name in layout.fields if name not in layout.declaration.key]
    known = [
        UpdateOne({ID: there[record.id]}, layout.changes({name: getattr(record, name) for name in values}))
        for record in records
        if record.id in there
    ]
    new = [layout.encode(record) for record in records if record.id not in there]
    try:
        if known:
            await collection.bulk_write(known, session=session)
        if new:
            await collection.insert_many(new, session=session)
    except BulkWriteError as error:
        raise duplicate_of(layout, error) or error from error
    return not known
