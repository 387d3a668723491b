"""What Azure's errors mean, in one table. No text of the SDK gets through: it holds addresses and signatures."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestTimeoutError,
    ServiceResponseTimeoutError,
)

from servicekit.errors import Problem
from servicekit.logging import get_logger
from services.storage.domain.errors import (
    BackendBusy,
    BackendFull,
    BackendRefused,
    BackendUnreachable,
    BucketMissing,
    ChecksumMismatch,
    ObjectExists,
    ObjectNotFound,
)
from services.storage.domain.model import ObjectName

log = get_logger()

KEY = "AZURE_STORAGE_CONNECTION_STRING or the account key"
PRINCIPAL = "AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and AZURE_TENANT_ID"
ROLE = "AZURE_CLIENT_ID, AZURE_CLIENT_SECRET or the role Storage Blob Data Contributor of that application"
NETWORK = "the account's network rules"
ACCOUNT = "the account's state in the Azure portal"

_CODE = re.compile(r"[A-Za-z0-9]{1,80}")


@dataclass(frozen=True)
class Place:
    """What a call is about: the backend, perhaps a container, perhaps an object in it."""

    backend: str
    container: str = ""
    name: ObjectName | None = None

    @property
    def object(self) -> dict[str, str]:
        """The object's placement and key, as errors want them."""
        return {"placement": self.name.placement, "key": self.name.key} if self.name else {}


class AskedForFewer(AzureError):
    """Azure, or something before it, answered with status 429."""

    def __init__(self, response: object) -> None:
        super().__init__("too many requests")
        self.response = response


Meaning = Callable[[Place], Problem]


def _refused(why: str, settings: str) -> Meaning:
    return lambda place: BackendRefused(backend=place.backend, why=why, settings=settings)


def _unreachable(why: str) -> Meaning:
    return lambda place: BackendUnreachable(backend=place.backend, why=why)


def _missing(why: str) -> Meaning:
    return lambda place: BucketMissing(backend=place.backend, bucket=place.container, why=why)


def _busy(place: Place) -> Problem:
    return BackendBusy(backend=place.backend)


def _full(place: Place) -> Problem:
    return BackendFull(backend=place.backend)


def _not_found(place: Place) -> Problem:
    return ObjectNotFound(**place.object) if place.name else _unreachable("it knows no such resource")(place)


def _exists(place: Place) -> Problem:
    return ObjectExists(**place.object) if place.name else _unreachable("it already has such a resource")(place)


_KEY_WRONG = _refused(
    "the account key or token is not valid, or this machine's clock is wrong", f"{KEY} or {PRINCIPAL}"
)
_ROLE_MISSING = _refused("the credentials may not do this", ROLE)
_NO_CONTAINER = _missing("it does not exist")
_BLOCKS_LOST = _unreachable("another upload of the same key came between")

BY_CODE: Mapping[str, Meaning] = {
    "AuthenticationFailed": _KEY_WRONG,
    "InvalidAuthenticationInfo": _KEY_WRONG,
    "NoAuthenticationInformation": _KEY_WRONG,
    "KeyBasedAuthenticationNotPermitted": _refused("the account takes no keys, only Microsoft Entra", PRINCIPAL),
    "AuthorizationPermissionMismatch": _ROLE_MISSING,
    "AuthorizationResourceTypeMismatch": _ROLE_MISSING,
    "AuthorizationServiceMismatch": _ROLE_MISSING,
    "InsufficientAccountPermissions": _ROLE_MISSING,
    "AuthorizationFailure": _refused(
        "this machine's address is blocked by its firewall, or a right is lacking", NETWORK
    ),
    "AuthorizationSourceIPMismatch": _refused("this machine's address is not among those it allows", NETWORK),
    "IpAuthorizationError": _refused("this machine's address is not among those it allows", NETWORK),
    "AuthorizationProtocolMismatch": _refused("it wants HTTPS", "AZURE_ACCOUNT_URL"),
    "AccountRequiresHttps": _refused("it wants HTTPS", "AZURE_ACCOUNT_URL"),
    "AccountIsDisabled": _refused("the account is disabled", ACCOUNT),
    "ContainerNotFound": _NO_CONTAINER,
    "ContainerDisabled": _missing("it is disabled"),
    "ContainerBeingDeleted": _unreachable("the container is being deleted, which takes Azure a minute"),
    "InvalidResourceName": _missing("Azure takes 3 to 63 small letters, digits and single hyphens as its name"),
    "BlobNotFound": _not_found,
    "ResourceNotFound": _not_found,
    "ConditionNotMet": _not_found,
    "BlobAlreadyExists": _exists,
    "ResourceTypeMismatch": _exists,
    "PathConflict": _exists,
    "SourceConditionNotMet": _not_found,
    "InvalidBlockList": _BLOCKS_LOST,
    "InvalidBlobOrBlock": _BLOCKS_LOST,
    "ServerBusy": _busy,
    "TooManyRequests": _busy,
    "OperationTimedOut": _unreachable("it timed out"),
    "InternalError": _unreachable("it failed inside"),
    "Md5Mismatch": lambda _: ChecksumMismatch(),
    "Crc64Mismatch": lambda _: ChecksumMismatch(),
    "BlockCountExceedsLimit": _full,
    "AccountLimitExceeded": _full,
    "InsufficientStorage": _full,
    "BlobArchived": _unreachable("the blob lies in the archive tier; bring it back to the hot or cool tier"),
    "BlobBeingRehydrated": _unreachable("the blob is on its way back from the archive tier"),
    "BlobImmutableDueToPolicy": _unreachable("a policy of the account keeps the blob as it is"),
    "LeaseIdMissing": _unreachable("somebody holds a lease on the blob"),
}

BY_STATUS: Mapping[int, Meaning] = {
    401: _KEY_WRONG,
    403: _ROLE_MISSING,
    404: _not_found,
    412: _not_found,
    429: _busy,
    503: _busy,
    507: _full,
}

_BY_CAUSE: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientConnectorDNSError, "the name of the account has no address"),
    (aiohttp.ClientConnectorCertificateError, "its certificate is not to be trusted"),
    (aiohttp.ClientSSLError, "no secure connection comes about"),
    (aiohttp.ClientConnectorError, "it takes no connection"),
    (TimeoutError, "it does not answer in time"),
    (aiohttp.ClientPayloadError, "its answer was cut off"),
    (aiohttp.ClientConnectionError, "the connection was cut off"),
)


@contextmanager
def told(place: Place) -> Iterator[None]:
    """Raise an error of the domain for whatever Azure, its SDK or the way to it gives."""
    try:
        yield
    except AzureError as error:
        problem = problem_of(error, place)
        log.debug("azure failed", problem=problem.reason, **facts_of(error))
        raise problem from None
    except TimeoutError:
        raise _unreachable("it does not answer in time")(place) from None


def problem_of(error: AzureError, place: Place) -> Problem:
    """What an error of the SDK means."""
    if not isinstance(error, HttpResponseError) or error.response is None:
        return _unanswered(error)(place)
    if code_of(error) in BY_CODE:
        return BY_CODE[code_of(error)](place)
    if isinstance(error, ClientAuthenticationError):
        return _refused("it does not accept the application's id, secret or tenant", PRINCIPAL)(place)
    otherwise = _unreachable(f"it answered with status {error.status_code} {code_of(error)}".rstrip())
    return BY_STATUS.get(error.status_code or 0, otherwise)(place)


def code_of(error: HttpResponseError) -> str:
    """Azure's code of an error; empty when it gave none."""
    headers = getattr(error.response, "headers", {})
    code = getattr(error, "error_code", None) or headers.get("x-ms-error-code") or ""
    text = str(getattr(code, "value", code))
    return text if _CODE.fullmatch(text) else ""


def facts_of(error: AzureError) -> dict[str, object]:
    """What Azure's support asks for; nothing that would be secret."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    return {"status": getattr(error, "status_code", None), "azure_request": headers.get("x-ms-request-id")}


def _unanswered(error: AzureError) -> Meaning:
    if isinstance(error, AskedForFewer):
        return _busy
    if isinstance(error, ClientAuthenticationError):
        return _refused("the request could not be signed", f"{KEY} or {PRINCIPAL}")
    if isinstance(error, ServiceRequestTimeoutError | ServiceResponseTimeoutError):
        return _unreachable("it does not answer in time")
    causes = list(_causes(error))
    why = (why for kind, why in _BY_CAUSE if any(isinstance(cause, kind) for cause in causes))
    return _unreachable(next(why, "the connection to it failed"))


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = getattr(cause, "inner_exception", None) or cause.__cause__
