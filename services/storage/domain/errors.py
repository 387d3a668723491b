"""What can go wrong with stored bytes. The docstring of an error is its message."""

from servicekit.errors import (
    AlreadyExists,
    Conflict,
    DataLoss,
    Denied,
    Exhausted,
    InvalidInput,
    LimitReached,
    NotFound,
    NotReady,
    OutOfRange,
    Problem,
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


class UnknownBackend(InvalidInput):
    """The placement {placement} has no such backend. Use one of: {known}; STORAGE_PLACEMENTS can add others."""

    field = "backend"


class AttributeMissing(InvalidInput):
    """A key in {placement} is made from what is known of the object, and this is missing: {missing}. Give it."""

    field = "attributes"


class CopyOverItself(InvalidInput):
    """A copy needs another name, or a backend that does not hold the object yet. Give one of them."""

    field = "destination"


class NameMissing(InvalidInput):
    """The request names no object. Give a placement and a key."""

    field = "name"


class InvalidAttribute(InvalidInput):
    """The object's {attribute} is longer than {limit} bytes or holds a control character. Shorten or clean it."""

    def __init__(self, attribute: str, limit: int) -> None:
        super().__init__(attribute=attribute, limit=limit)
        self.field = attribute  # type: ignore[misc]  # one class stands for four fields


class InvalidTags(InvalidInput):
    """These tags cannot be kept. Give at most 10, each of 1 to 100 bytes, without commas and control characters."""

    field = "tags"


class InvalidContext(InvalidInput):
    """This context cannot be kept. Give at most 10 names of a-z, 0-9 and "_", with values of at most 200 bytes."""

    field = "context"


class ContextReserved(InvalidInput):
    """The service itself keeps "{name}" in the context of an object. Choose another name for this entry."""

    field = "context"


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
    """An address works for 1 second to 7 days. Choose a time between them."""

    field = "ttl"


class InvalidExpiry(InvalidInput):
    """An object cannot have expired when it is stored. Give a longer time, or none to keep it as its placement says."""

    field = "expires_after"


class RangeBeyondEnd(OutOfRange):
    """The object has {size} bytes and the range starts at byte {start}. Start before the end."""


class ObjectNotFound(NotFound):
    """There is no object {key} in {placement}. List the placement to see what there is."""


class ObjectExists(AlreadyExists):
    """Another object has the key {key} in {placement}. Choose another key, or delete that object first."""


class ObjectChanged(Conflict):
    """The object {key} in {placement} was replaced while it was copied. Look at it again, then repeat."""


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


class TicketBelongsElsewhere(NotReady):
    """The bytes of this ticket go straight to the backend {backend}. Send them to the address it names."""


class NothingSent(NotFound):
    """Nothing was sent to the address of this ticket yet. Send the bytes, then complete it."""


class TokenForged(Denied):
    """This address was not made here, or was changed. Ask for a new one."""


class TokenExpired(Denied):
    """This address has expired. Ask for a new one."""


class BackendFailure(Problem):
    """A backend did not do its part. Another may, where the placement's policy has one."""


class BackendFull(Exhausted, BackendFailure):
    """The {backend} backend has no space left, and nothing was kept. Free some space there, then repeat."""


class BackendUnreachable(Unavailable, BackendFailure):
    """The {backend} backend cannot be used just now: {why}. Repeat once it can."""


class BackendBusy(Unavailable, BackendFailure):
    """The {backend} backend asks for fewer calls. Repeat in a while, or raise the limits of its account."""


class BackendRefused(Unavailable, BackendFailure):
    """The {backend} backend refuses this service's credentials: {why}. Correct {settings}, then repeat."""


class BucketMissing(Unavailable, BackendFailure):
    """The {backend} backend has no bucket {bucket}, and it cannot be made: {why}. Make it there, then repeat."""


class BackendNotConfigured(Unavailable, BackendFailure):
    """The {backend} backend is not configured: {why}. Set what is missing and start the service again."""


class ObjectTooLarge(InvalidInput, BackendFailure):
    """The {backend} backend takes at most {limit} bytes of such an object. Send a smaller one, or raise its limit."""

    field = "chunk"


class QuotaExceeded(LimitReached):
    """{owner} keeps {used} of {quota} bytes, and {size} more do not fit. Delete something, or have the quota raised."""
