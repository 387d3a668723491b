"""What the driver's errors mean: another was in the way, the server is gone, or a rule was broken."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WTimeoutError,
)

from servicekit import errors
from services.metadata.adapters.mongodb.documents import ID, Layout
from services.metadata.domain.ports import Duplicate, StoreFull, StoreUnreachable

DUPLICATE = 11000
REFUSED = frozenset({13, 18, 8000})
"""Codes of: unauthorized, authentication failed, and what Atlas says in place of both."""
FULL = 14031
GONE = (ConnectionFailure, ExecutionTimeout, WTimeoutError)
TRANSIENT = "TransientTransactionError"
UNKNOWN_COMMIT = "UnknownTransactionCommitResult"


class AddressWrong(errors.NotReady):
    """The address of the MongoDB server cannot be read. Write it as mongodb://user:password@host:27017/database, and every character of user and password that is neither a letter nor a digit as %XX."""  # noqa: E501


class AccessRefused(errors.NotReady):
    """MongoDB does not let this service in. Check the user, the password and the user's rights to the database."""


class IndexImpossible(errors.NotReady):
    """MongoDB cannot make the index {index} of the collection {collection}: {problem}. Remove what stands against it, and start again."""  # noqa: E501


def is_transient(error: PyMongoError) -> bool:
    """Whether the unit of work that failed can be done again from its beginning."""
    return bool(error.has_error_label(TRANSIENT))


def is_undecided(error: PyMongoError) -> bool:
    """Whether it is not known if a commit took place, so that it has to be asked for again."""
    return bool(error.has_error_label(UNKNOWN_COMMIT))


def is_gone(error: PyMongoError) -> bool:
    """Whether the server cannot be reached, or does not answer in time."""
    return isinstance(error, GONE)


def is_nowhere(error: PyMongoError) -> bool:
    """Whether no server was found that could be asked, for as long as one is looked for."""
    return isinstance(error, ServerSelectionTimeoutError)


@contextmanager
def told() -> Iterator[None]:
    """Raise what the driver says of the server in the domain's words."""
    try:
        yield
    except OperationFailure as error:
        if is_gone(error):
            raise StoreUnreachable from error
        if error.code == FULL:
            raise StoreFull from error
        if error.code in REFUSED:
            raise AccessRefused from error
        raise
    except PyMongoError as error:
        if is_gone(error):
            raise StoreUnreachable from error
        raise


@contextmanager
def unique(layout: Layout) -> Iterator[None]:
    """Raise Duplicate for a value that another record has."""
    try:
        yield
    except DuplicateKeyError as error:
        raise Duplicate(_names(layout, error.details or {})) from error


def _names(layout: Layout, details: "Any") -> list[str]:
    """The attributes of the index that an error is about."""
    pattern = list(details.get("keyPattern", {ID: 1}))
    by_path = {field.path: name for name, field in layout.fields.items()}
    return [by_path.get(path, path) for path in pattern]


def duplicate_of(layout: Layout, error: BulkWriteError) -> Duplicate | None:
    """Which value another record has; None when that is not what went wrong."""
    failures = error.details.get("writeErrors", [])
    taken = next((each for each in failures if each.get("code") == DUPLICATE), None)
    return Duplicate(_names(layout, taken)) if taken else None


def is_taken(error: BulkWriteError) -> bool:
    """Whether all that failed did because somebody else wrote the same keys at the same time."""
    failures = error.details.get("writeErrors", [])
    return bool(failures) and all(each.get("code") == DUPLICATE for each in failures)
