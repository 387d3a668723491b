"""The one table between errors and gRPC statuses, read in both directions."""

import string
from urllib.parse import quote

from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc import StatusCode
from grpc.aio import AioRpcError
from grpc_status import rpc_status

from servicekit import errors

DOMAIN = "modelyard"

STATUS_OF: dict[type[errors.Problem], StatusCode] = {
    errors.InvalidInput: StatusCode.INVALID_ARGUMENT,
    errors.OutOfRange: StatusCode.OUT_OF_RANGE,
    errors.Unauthenticated: StatusCode.UNAUTHENTICATED,
    errors.Denied: StatusCode.PERMISSION_DENIED,
    errors.NotFound: StatusCode.NOT_FOUND,
    errors.AlreadyExists: StatusCode.ALREADY_EXISTS,
    errors.NotReady: StatusCode.FAILED_PRECONDITION,
    errors.Conflict: StatusCode.ABORTED,
    errors.Exhausted: StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: StatusCode.UNAVAILABLE,
    errors.TooLate: StatusCode.DEADLINE_EXCEEDED,
    errors.Stopped: StatusCode.CANCELLED,
    errors.DataLoss: StatusCode.DATA_LOSS,
}

# What the client library says, with INTERNAL, of a call that ended at the very moment it was written to: how is lost.
CUT_SHORT = "Internal error from Core"

# What gRPC itself says of a message, or of what comes with it, that is larger than a channel or server takes.
TOO_LARGE = ("message larger than max", "metadata size exceeds")

# A call's trailing metadata is thrown away, and the status with it, where it is larger than 8 KiB.
SENTENCE_BUDGET = 7000
LEFT_OUT = " [...] "
UNQUOTED = string.punctuation.replace("%", "") + " "

# What the transport says of a server that went away; a service of ours says it with a reason.
BROKEN_OFF = frozenset({StatusCode.UNAVAILABLE, StatusCode.CANCELLED, StatusCode.UNKNOWN})

# A repeat of the same request may succeed.
TRANSIENT = frozenset(
    {StatusCode.UNAVAILABLE, StatusCode.RESOURCE_EXHAUSTED, StatusCode.ABORTED, StatusCode.DEADLINE_EXCEEDED}
)


def code_of(problem: errors.Problem) -> StatusCode:
    """The status of an error: that of the nearest class in the table."""
    return next(STATUS_OF[kind] for kind in type(problem).__mro__ if kind in STATUS_OF)


def may_pass(problem: errors.Problem) -> bool:
    """Whether repeating the same request may help."""
    return code_of(problem) in TRANSIENT and not isinstance(problem, errors.LimitReached)


def status_of(problem: errors.Problem) -> status_pb2.Status:
    """An error as a status with details: ErrorInfo always, BadRequest for a field, RetryInfo where repeating helps."""
    code, message = code_of(problem), shortened(problem.message)
    status = status_pb2.Status(code=code_pb2.Code.Value(code.name), message=message)
    _pack(status, error_details_pb2.ErrorInfo(reason=problem.reason, domain=DOMAIN))
    if problem.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=problem.field, description=message)
        _pack(status, error_details_pb2.BadRequest(field_violations=[violation]))
    if may_pass(problem):
        delay = duration_pb2.Duration(seconds=problem.after_seconds)
        _pack(status, error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def shortened(sentence: str) -> str:
    """A sentence as it fits into a status: of one that is too long the middle is left out, which what to do is not."""
    # Where letters are of different sizes the share of them that may stay is an estimate, which is looked at again.
    while (size := _sent_bytes(sentence)) > SENTENCE_BUDGET:
        kept = len(sentence) * SENTENCE_BUDGET // size - len(LEFT_OUT)
        sentence = f"{sentence[: kept - kept // 3]}{LEFT_OUT}{sentence[len(sentence) - kept // 3 :]}"
    return sentence


def _sent_bytes(sentence: str) -> int:
    """Bytes that a sentence takes in a status: percent-encoded once, and in the details twice, in base64."""
    return len(quote(sentence, safe=UNQUOTED)) + 2 * len(sentence.encode()) * 4 // 3


def _pack(
    status: status_pb2.Status,
    detail: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo,
) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)
    status.details.append(packed)


def reason_of(error: AioRpcError) -> str:
    """The ErrorInfo reason that a failed call carries, or the name of its status."""
    info = error_details_pb2.ErrorInfo()
    return info.reason if _unpack(error, info) else error.code().name


def field_of(error: AioRpcError) -> str:
    """The request's field that a failed call blames, or the empty string."""
    bad = error_details_pb2.BadRequest()
    return bad.field_violations[0].field if _unpack(error, bad) and bad.field_violations else ""


def after_seconds(error: AioRpcError) -> int:
    """When to repeat a failed call, where that may help."""
    info = error_details_pb2.RetryInfo()
    return info.retry_delay.seconds if _unpack(error, info) else errors.RETRY_AFTER_SECONDS


def was_broken_off(error: AioRpcError) -> bool:
    """Whether a call ended otherwise than by the word of a service of ours: its server was stopped, or is out of reach.

    A service may have said why and not have been heard; who repeats the call hears it then.
    """
    if error.code() is StatusCode.INTERNAL:
        return error.details() == CUT_SHORT
    return error.code() in BROKEN_OFF and not _is_ours(error) and not _is_too_large(error)


def is_transient(error: AioRpcError) -> bool:
    """Whether repeating the call may help. A message that is larger than gRPC takes is so the next time, too."""
    if _is_too_large(error):
        return False
    if error.code() is StatusCode.RESOURCE_EXHAUSTED and _is_ours(error):
        return _unpack(error, error_details_pb2.RetryInfo())
    return was_broken_off(error) or error.code() in TRANSIENT


def _is_ours(error: AioRpcError) -> bool:
    return _unpack(error, error_details_pb2.ErrorInfo())


def _is_too_large(error: AioRpcError) -> bool:
    return any(words in (error.details() or "") for words in TOO_LARGE) and not _is_ours(error)


def _unpack(
    error: AioRpcError, detail: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo
) -> bool:
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # the transport ended the call, and says something else than the details that it let through
        return False
    return status is not None and any(packed.Unpack(detail) for packed in status.details)
