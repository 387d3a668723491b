"""What Cloudinary's failures mean: by the SDK's class where it tells enough, else by the text."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from cloudinary import exceptions
from urllib3.exceptions import HTTPError

from servicekit.errors import InvalidInput
from services.storage.domain.errors import (
    BackendBusy,
    BackendFailure,
    BackendFull,
    BackendRefused,
    BackendUnreachable,
    ObjectTooLarge,
)

CREDENTIALS = "CLOUDINARY_CLOUD_NAME, CLOUDINARY_API_KEY and CLOUDINARY_API_SECRET"


class NotAnImage(InvalidInput, BackendFailure):
    """The key ends like that of an image, and the {backend} backend finds none in it. Choose another extension."""

    field = "key"


class RequestRejected(BackendUnreachable):
    """The {backend} backend takes a request of this service for wrong. Look into its log; a repeat does not help."""


class ScratchFull(BackendFull):
    """There is no space left here to gather an upload for the {backend} backend. Free some, then repeat."""


class Absent(Exception):
    """There is no such asset. Who asked for it says so in words of the domain."""


class Taken(Exception):
    """Another asset has the public id. Who wanted it says so in words of the domain."""


Made = Callable[[str, re.Match[str]], Exception]

_BY_TEXT: tuple[tuple[str, Made], ...] = (
    (r"Maximum is (\d+)", lambda name, found: ObjectTooLarge(backend=name, limit=found[1])),
    (r"already exists", lambda *_: Taken()),
    (r"Invalid image file|Unsupported (?:source )?(?:image|file)", lambda name, _: NotAnImage(backend=name)),
    (r"(?i)quota exceeded|exceeded .*quota", lambda name, _: BackendFull(backend=name)),
    (
        r"Stale request",
        lambda name, _: BackendRefused(
            backend=name, why="it finds their signature more than an hour old", settings="this machine's clock"
        ),
    ),
)
_BY_CLASS: tuple[tuple[type[Exception], Made], ...] = (
    (exceptions.NotFound, lambda *_: Absent()),
    (exceptions.AlreadyExists, lambda *_: Taken()),
    (
        exceptions.AuthorizationRequired,
        lambda name, _: BackendRefused(backend=name, why="it does not know them", settings=CREDENTIALS),
    ),
    (
        exceptions.NotAllowed,
        lambda name, _: BackendRefused(backend=name, why="the account may not do this", settings=CREDENTIALS),
    ),
    (exceptions.RateLimited, lambda name, _: BackendBusy(backend=name)),
    (exceptions.BadRequest, lambda name, _: RequestRejected(backend=name)),
)
_CAUSES = (
    (r"(?i)timeout|timed out", "it did not answer in time"),
    (r"response \((\d{3})\)", "it answers with status {}"),
    (r"Error (\d{3}) - ", "it answers with status {}"),
    (r"(?i)certificate|SSL", "its certificate cannot be trusted"),
    (r"NewConnectionError|NameResolution|ConnectError|refused", "no connection to it can be made"),
    (r"(?i)ProtocolError|aborted|IncompleteRead|reset|ReadError|WriteError", "the connection to it broke off"),
)


@contextmanager
def cloud_errors(backend: str) -> Iterator[None]:
    """Tell of a failing Cloudinary in words of the domain.

    The cause is left out on purpose: the SDK's texts hold signed strings and whole pages of HTML.
    """
    try:
        yield
    except (exceptions.Error, HTTPError, httpx.HTTPError) as error:
        raise told(error, backend) from None
    except Exception as error:
        # The admin API of the SDK raises the bare class for each status that it has no name for, as 413 and 502.
        if type(error) is not Exception:
            raise
        raise told(error, backend) from None


def told(error: Exception, backend: str) -> Exception:
    """The domain's error for one of the SDK, of urllib3 or of httpx."""
    text = str(error)
    if isinstance(error, exceptions.Error):
        for pattern, made in _BY_TEXT:
            if found := re.search(pattern, text):
                return made(backend, found)
    for kind, made in _BY_CLASS:
        if isinstance(error, kind):
            return made(backend, re.match("", text))  # type: ignore[arg-type]  # the empty pattern is always found
    return BackendUnreachable(backend=backend, why=_cause(f"{type(error).__name__}: {text}"))


def _cause(text: str) -> str:
    for pattern, why in _CAUSES:
        if found := re.search(pattern, text):
            return why.format(*found.groups())
    return "it failed"


def not_delivered(status: int, backend: str) -> Exception:
    """The domain's error for an answer of the delivery network."""
    if status == 404:
        return Absent()
    if status in {401, 403}:
        delivery = "the account's settings for delivery, where ZIP and PDF files are to be allowed"
        return BackendRefused(backend=backend, why="it does not deliver this file", settings=delivery)
    if status in {420, 429}:
        return BackendBusy(backend=backend)
    return BackendUnreachable(backend=backend, why=f"it answers with status {status}")
