"""What a registry raises, and how a failed call becomes one of these."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from modelyard.errors import ModelyardError
from servicekit import statuses


class RegistryError(ModelyardError):
    """The registry refused a call, failed at it, or could not be reached."""


class InvalidInput(RegistryError):
    """Something that was given cannot be, whatever the state of the registry."""


class NotFound(RegistryError):
    """What the call names does not exist."""


class AlreadyExists(RegistryError):
    """Another record has the name, or whatever else must be unique."""


class NotReady(RegistryError):
    """A record refers to another that does not exist, or is not in a state that allows the change."""


class Unavailable(RegistryError):
    """The registry or its database cannot be reached now; the same call may succeed later."""


KINDS: dict[grpc.StatusCode, type[RegistryError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: NotReady,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
}


def invalid(message: str) -> InvalidInput:
    """That something given to a call cannot be."""
    return InvalidInput(0, "INVALID_INPUT", message)


@contextmanager
def understood(target: str) -> Iterator[None]:
    """Turn what the service answers with, or that it does not answer, into a RegistryError."""
    try:
        yield
    except grpc.RpcError as error:
        raise _problem(error, target) from error


def _problem(error: Any, target: str) -> RegistryError:
    if statuses.was_broken_off(error):
        message = f"Nothing answers at {target}. Start Modelyard, or give the address of its metadata service."
        return Unavailable(0, "UNREACHABLE", message, retryable=True)
    kind, reason = KINDS.get(error.code(), RegistryError), statuses.reason_of(error)
    return kind(0, reason, error.details() or reason, retryable=statuses.is_transient(error))
