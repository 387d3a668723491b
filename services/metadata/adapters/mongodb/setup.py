"""Makes the collections and indexes that the entities declare, where they are not there yet."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo import ASCENDING, IndexModel
from pymongo.errors import CollectionInvalid, OperationFailure

from services.metadata.adapters.mongodb import filling, queries
from services.metadata.adapters.mongodb.documents import ID, LAYOUTS, Document, Layout
from services.metadata.adapters.mongodb.failures import IndexImpossible
from services.metadata.adapters.mongodb.transaction import HELD

ABOUT = "modelyard"
SCHEMA = "schema"
VERSION = 2
"""Of the form of the documents: 2 keeps what metrics came to, and the words of texts, in collections of their own."""


class SchemaMissing(Exception):
    """The database has no schema of ours."""


@dataclass(frozen=True)
class Index:
    """An index that there has to be."""

    name: str
    paths: tuple[str, ...]
    unique: bool = False
    expires: bool = False

    @property
    def model(self) -> IndexModel:
        """As the driver takes it. Only documents that have the values are held unique: those of others may not."""
        options: dict[str, Any] = {"name": self.name, "unique": self.unique}
        if self.unique:
            options["partialFilterExpression"] = {path: {"$exists": True} for path in self.paths}
        if self.expires:
            options["expireAfterSeconds"] = 0
        return IndexModel([(path, ASCENDING) for path in self.paths], **options)


def indexes_of(layout: Layout) -> Iterator[Index]:
    """The indexes of an entity's collection, under the names that they have in SQL databases."""
    declaration, shape = layout.declaration, layout.shape
    for names in declaration.unique:
        yield Index(_name("uq", layout, names), tuple(layout.fields[name].path for name in names), unique=True)
    for names in declaration.indexes:
        paths = tuple(path for name in names for path in queries.paths(layout, name))
        yield Index(_name("ix", layout, names), paths)
    for names in shape.indexes:
        yield Index(_name("rd", layout, names), names)
    if shape.expires_by:
        yield Index(_name("tt", layout, (shape.expires_by,)), (layout.fields[shape.expires_by].path,), expires=True)


def _name(kind: str, layout: Layout, names: tuple[str, ...]) -> str:
    return "_".join((kind, layout.declaration.name, *names))


def _fingerprint() -> str:
    """Tells apart what different programs would make."""
    told = [(layout.collection, *map(repr, indexes_of(layout))) for layout in LAYOUTS.values()]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


FINGERPRINT = _fingerprint()


async def prepare(database: "AsyncIOMotorDatabase[Document]") -> None:
    """Make what is missing. Several processes may do so at once, and each that comes later has nothing to do."""
    about = await database[ABOUT].find_one({ID: SCHEMA}) or {}
    if about.get("indexes") == FINGERPRINT:
        return
    existing = set(await database.list_collection_names())
    for layout in LAYOUTS.values():
        await _prepare_collection(database, layout, layout.collection in existing)
    if HELD not in existing:
        await _create(database, HELD)
    if about.get("version", 0) < VERSION:
        await filling.fill(database)
    known = {"$max": {"version": VERSION}, "$set": {"indexes": FINGERPRINT}}
    await database[ABOUT].update_one({ID: SCHEMA}, known, upsert=True)


async def _create(database: "AsyncIOMotorDatabase[Document]", name: str) -> None:
    try:
        await database.create_collection(name)
    except (CollectionInvalid, OperationFailure) as error:  # another process was faster
        if isinstance(error, OperationFailure) and error.code != NAMESPACE_EXISTS:
            raise


NAMESPACE_EXISTS = 48


async def _prepare_collection(database: "AsyncIOMotorDatabase[Document]", layout: Layout, exists: bool) -> None:
    """One call where all is as it should be: the server passes over indexes that it has."""
    collection = database[layout.collection]
    known = (
        {tuple(index["key"].items()) for index in await collection.list_indexes().to_list(None)} if exists else set()
    )
    wanted = [each for each in indexes_of(layout) if tuple((path, ASCENDING) for path in each.paths) not in known]
    if not exists and not wanted:
        await _create(database, layout.collection)
    if not wanted:
        return
    try:
        await collection.create_indexes([each.model for each in wanted])
    except OperationFailure as error:
        problem = (error.details or {}).get("codeName", "unknown")
        names = ", ".join(each.name for each in wanted)
        raise IndexImpossible(index=names, collection=layout.collection, problem=problem) from error


async def version_of(database: "AsyncIOMotorDatabase[Document]") -> int:
    """Version of the documents' form; SchemaMissing when the database has never been prepared, or no longer is."""
    found = await database[ABOUT].find_one({ID: SCHEMA})
    if found is None:
        raise SchemaMissing("the collection modelyard does not say which schema the database has")
    return int(found["version"])
