"""What can go wrong with stored bytes. The docstring of an error is its message."""

from servicekit.errors import (
    AlreadyExists,
    DataLoss,
    Denied,
    Exhausted,
    InvalidInput,
    NotFound,
    NotReady,
    OutOfRange,
    Unavailable,
)


class InvalidKey(InvalidInput):
    """This cannot be a key: {why}. Use segments separated by "/", for example "alice/iris.csv"."""

    field = "key"


class InvalidPrefix(InvalidInput):
    """No key starts like this: {why}. Use the beginning of a key, for example "alice/"."""

    field = "prefix"


class PrefixNotWhole(InvalidInput):
    """Objects are deleted by whole segments. Give a prefix that ends in "/", for example "alice/"."""

    field = "prefix"


class UnknownPlacement(InvalidInput):
    """There is no such placement. Use one of: {known}."""

    field = "placement"


class NameMissing(InvalidInput):
    """The request names no object. Give a placement and a key."""

    field = "name"


class InvalidAttribute(InvalidInput):
    """The object's {attribute} is longer than {limit} bytes or holds a control character. Shorten or clean it."""

    def __init__(self, attribute: str, limit: int) -> None:
        super().__init__(attribute=attribute, limit=limit)
        self.field = attribute  # type: ignore[misc]  # one class stands for four fields


class RequestIdMissing(InvalidInput):
    """An upload needs a request_id, so that repeating it is safe. Make a new one for every object."""

    field = "request_id"


class PartsOutOfOrder(InvalidInput):
    """The upload sent {got} where {wanted} was due. Send one header, then chunks, then one trailer."""

    field = "part"


class UploadIncomplete(InvalidInput):
    """The upload ended without its trailer, so nothing was kept. Send it again, whole."""

    field = "part"


class ChunkTooLarge(InvalidInput):
    """A chunk holds {size} bytes; at most {limit} are taken at once. Send smaller chunks, best of 256 KiB."""

    field = "chunk"


class InvalidLength(InvalidInput):
    """A length cannot be negative. Use 0 to read to the end."""

    field = "length"


class InvalidPageSize(InvalidInput):
    """A page has 1 to {limit} objects. Ask for fewer, or leave the size out."""

    field = "page_size"


class InvalidPageToken(InvalidInput):
    """This page token is none of ours, or is of another prefix. Begin with the first page."""

    field = "page_token"


class InvalidTtl(InvalidInput):
    """A download address works for 1 second to 7 days. Choose a time between them."""

    field = "ttl"


class RangeBeyondEnd(OutOfRange):
    """The object has {size} bytes and the range starts at byte {start}. Start before the end."""


class ObjectNotFound(NotFound):
    """There is no object {key} in {placement}. List the placement to see what there is."""


class ObjectExists(AlreadyExists):
    """Another object has the key {key} in {placement}. Choose another key, or delete that object first."""


class SizeMismatch(DataLoss):
    """The trailer tells of {told} bytes but {received} arrived, so nothing was kept. Send the object again."""


class ChecksumMismatch(DataLoss):
    """The bytes that arrived are not those the trailer tells of, so nothing was kept. Send the object again."""


class ObjectDamaged(DataLoss):
    """The stored bytes of {key} in {placement} are not those that were uploaded. Restore it from another copy."""


class NoFiles(NotReady):
    """The backend {backend} keeps no files that a caller could write to. Send the bytes."""


class StagedFileUnknown(InvalidInput):
    """The header names a file that StageUpload did not offer, or that is gone. Ask for another, or send the bytes."""

    field = "header.staged_path"


class StagedFileShort(DataLoss):
    """The staged file lacks {missing} of the bytes that were said to be in it. Send the object again."""


class TokenForged(Denied):
    """This download address was not made here, or was changed. Ask for a new one."""


class TokenExpired(Denied):
    """This download address has expired. Ask for a new one."""


class BackendFull(Exhausted):
    """The {backend} backend has no space left, and nothing was kept. Free some space there, then repeat."""


class BackendUnreachable(Unavailable):
    """The {backend} backend cannot be used just now: {why}. Repeat once it can."""
