"""What Cloudinary's failures are told as."""

import httpx
import pytest
from cloudinary import exceptions

from servicekit.errors import Problem
from services.storage.adapters.cloudinary.errors import (
    Absent,
    NotAnImage,
    RequestRejected,
    Taken,
    cloud_errors,
    not_delivered,
)
from services.storage.domain.errors import (
    BackendBusy,
    BackendFull,
    BackendRefused,
    BackendUnreachable,
    ObjectTooLarge,
)


def told(error: Exception) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 — which one it is, is the question
        with cloud_errors("cloudinary"):
            raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (exceptions.NotFound("Resource not found - a"), Absent, ""),
        (exceptions.AlreadyExists("x"), Taken, ""),
        (exceptions.BadRequest("to_public_id(a) already exists"), Taken, ""),
        (exceptions.AuthorizationRequired("Invalid Signature 12"), BackendRefused, "CLOUDINARY_API_SECRET"),
        (exceptions.NotAllowed("disabled account"), BackendRefused, "CLOUDINARY_API_KEY"),
        (exceptions.BadRequest("Stale request - reported time is 2016"), BackendRefused, "clock"),
        (exceptions.RateLimited("Rate Limit Exceeded"), BackendBusy, "fewer calls"),
        (exceptions.GeneralError("General Error"), BackendUnreachable, "it failed"),
        (exceptions.BadRequest("File size too large. Got 9. Maximum is 8."), ObjectTooLarge, "at most 8 bytes"),
        (exceptions.BadRequest("Invalid image file"), NotAnImage, "extension"),
        (exceptions.BadRequest("public_id (a?) is invalid"), RequestRejected, "repeat does not help"),
        (exceptions.NotAllowed("Storage quota exceeded for this account"), BackendFull, "no space"),
        (Exception("Error 413 - Request Entity Too Large"), BackendUnreachable, "status 413"),
        (Exception("Error 502 - Bad Gateway"), BackendUnreachable, "status 502"),
        (
            exceptions.GeneralError("Error parsing server response (502) - b'<html>' - Expecting value"),
            BackendUnreachable,
            "status 502",
        ),
        (
            exceptions.Error("Unexpected error - ProtocolError('Connection aborted.', RemoteDisconnected())"),
            BackendUnreachable,
            "broke off",
        ),
        (exceptions.Error("Unexpected error - ReadTimeoutError('Read timed out.')"), BackendUnreachable, "in time"),
        (exceptions.Error("Socket error: NewConnectionError"), BackendUnreachable, "no connection"),
        (exceptions.Error("SSLError(certificate verify failed)"), BackendUnreachable, "certificate"),
        (httpx.ReadTimeout(""), BackendUnreachable, "in time"),
        (httpx.ConnectError("All connection attempts failed"), BackendUnreachable, "no connection"),
        (httpx.RemoteProtocolError("peer closed"), BackendUnreachable, "broke off"),
    ],
    ids=lambda given: str(given)[:30] if isinstance(given, Exception) else "",
)
def test_a_failure_is_told_by_name_with_a_sentence_that_helps(error, kind, says):
    """003.11"""
    problem = told(error)

    assert type(problem) is kind
    assert says in str(problem)
    assert problem.__suppress_context__
    if isinstance(problem, Problem):
        assert problem.message.endswith(".")


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("x"), ValueError("x")])
def test_a_mistake_of_ours_is_not_told_as_a_failure_of_the_backend(error):
    assert told(error) is error


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, Absent), (401, BackendRefused), (403, BackendRefused), (420, BackendBusy), (429, BackendBusy)]
    + [(status, BackendUnreachable) for status in (200, 301, 416, 500, 502)],
)
def test_an_answer_of_the_delivery_network_is_told_by_its_status(status, kind):
    assert type(not_delivered(status, "cloudinary")) is kind
