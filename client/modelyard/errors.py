"""What the client raises, and how an answer of the gateway becomes one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx


class ModelyardError(Exception):
    """Modelyard refused a request, failed at it, or could not be reached.

    `status` is the HTTP status, 0 when there was no answer; `code` a stable name for programs; `message` one sentence
    for people; `retryable` whether the same request may succeed later.
    """

    def __init__(self, status: int, code: str, message: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retryable = retryable


def raise_for_problem(response: httpx.Response) -> None:
    """Raise what an answer of 400 and above says. Its body is read first, so it may be a stream."""
    if response.status_code >= 400:
        response.read()
        raise _problem(response)


def _problem(response: httpx.Response) -> ModelyardError:
    body = _json(response)
    stated = body.get("error")
    error = stated if isinstance(stated, dict) else {}
    said = error.get("message") or body.get("detail") or body.get("title")
    return ModelyardError(
        status=response.status_code,
        code=str(error.get("code") or f"HTTP_{response.status_code}"),
        message=str(said or f"{response.request.url.host} answered {response.status_code} without saying why."),
        retryable=bool(error.get("retryable", response.status_code in (429, 502, 503, 504))),
    )


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:  # a proxy's HTML, for example
        return {}
    return body if isinstance(body, dict) else {}


@contextmanager
def transport_errors(base_url: str) -> Iterator[None]:
    """Turn what goes wrong between here and the gateway into a ModelyardError with status 0."""
    try:
        yield
    except httpx.ConnectError as error:
        message = (
            f"Nothing answers at {base_url}. Start Modelyard with `modelyard run`, or give its address with --url."
        )
        raise ModelyardError(0, "UNREACHABLE", message, retryable=True) from error
    except httpx.UnsupportedProtocol as error:
        message = f"{base_url} is no address of Modelyard. Give one that begins with http:// or https://."
        raise ModelyardError(0, "INVALID_URL", message) from error
    except httpx.TransportError as error:
        message = f"The connection to {base_url} broke off ({type(error).__name__}). Try again."
        raise ModelyardError(0, "CONNECTION_LOST", message, retryable=True) from error
    except httpx.InvalidURL as error:
        raise ModelyardError(0, "INVALID_URL", f"{base_url} is no address: {error}.") from error
