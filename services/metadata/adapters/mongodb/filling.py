"""Fills in what follows from documents that were there before it was kept."""

from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo import ReplaceOne

from services.metadata.adapters.mongodb.documents import ID, LAYOUTS, Document, Layout
from services.metadata.domain.entities import Metric, MetricSummary, SearchText
from services.metadata.domain.indexing import searchable, text_of
from services.metadata.domain.summaries import HELD_OUT, PRECEDENCE

BATCH = 1_000


async def fill(database: "AsyncIOMotorDatabase[Document]") -> None:
    """Write the words and the summaries of all documents. Doing it twice does no harm."""
    await database[LAYOUTS[Metric].collection].aggregate(_summaries(), allowDiskUse=True).to_list(None)
    for declaration in searchable():
        await _fill_texts(database, LAYOUTS[declaration.kind])


async def _fill_texts(database: "AsyncIOMotorDatabase[Document]", layout: Layout) -> None:
    texts, writes = LAYOUTS[SearchText], list[ReplaceOne[Document]]()
    async for document in database[layout.collection].find({}, sort=[(ID, 1)]):
        text = texts.encode(text_of(layout.decode(document)))
        writes.append(ReplaceOne({ID: text[ID]}, text, upsert=True))
        if len(writes) == BATCH:
            await database[texts.collection].bulk_write(writes, ordered=False)
            writes.clear()
    if writes:
        await database[texts.collection].bulk_write(writes, ordered=False)


def _summaries() -> list[Document]:
    """Each split at its highest step, and the same once more for the held-out one, of which the best stays."""
    key = {name: f"${ID}.{name}" for name in ("run_id", "name", "split")}
    last = {"$top": {"sortBy": {f"{ID}.step": -1}, "output": {"step": f"${ID}.step", "value": "$value"}}}
    branches = [{"case": {"$eq": [f"${ID}.split", name]}, "then": number} for name, number in PRECEDENCE.items()]
    told = {
        "precedence": {"$switch": {"branches": branches, "default": 0}},
        "step": "$last.step",
        "value": "$last.value",
    }
    best = {"$top": {"sortBy": {"precedence": -1}, "output": {name: f"${name}" for name in told}}}
    held_out = {"run_id": f"${ID}.run_id", "name": f"${ID}.name", "split": HELD_OUT}
    return [
        {"$group": {ID: key, "last": last}},
        {"$project": told},
        {"$set": {"keys": [f"${ID}", held_out]}},
        {"$unwind": "$keys"},
        {"$group": {ID: "$keys", "best": best}},
        {"$project": {name: f"$best.{name}" for name in told}},
        {"$merge": {"into": LAYOUTS[MetricSummary].collection, "whenMatched": "replace"}},
    ]
