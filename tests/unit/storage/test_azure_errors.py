"""What Azure's errors become, and which accounts are taken."""

from types import SimpleNamespace

import aiohttp
import pytest
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    IncompleteReadError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseTimeoutError,
)

from services.storage.adapters.azure.account import AzureAccount, Patience, Repeats, endpoint_of
from services.storage.adapters.azure.errors import BY_CODE, Place, problem_of, told
from services.storage.domain import errors
from services.storage.domain.model import ObjectName

NAME = ObjectName("models", "a/b")
PLACE = Place("azure", "models-1", NAME)
KEY = "c2VjcmV0"


def answered(status: int, code: str = "", kind: type[HttpResponseError] = HttpResponseError) -> HttpResponseError:
    response = SimpleNamespace(status_code=status, reason="Reason", headers={"x-ms-error-code": code} if code else {})
    return kind("told with sig=canary and https://host/?sig=canary", response=response)


CODES = {
    "AuthenticationFailed": (403, errors.BackendRefused, "clock"),
    "AuthorizationPermissionMismatch": (403, errors.BackendRefused, "Storage Blob Data Contributor"),
    "AuthorizationFailure": (403, errors.BackendRefused, "firewall"),
    "KeyBasedAuthenticationNotPermitted": (403, errors.BackendRefused, "AZURE_CLIENT_ID"),
    "AccountIsDisabled": (403, errors.BackendRefused, "disabled"),
    "ContainerNotFound": (404, errors.BucketMissing, "models-1"),
    "ContainerBeingDeleted": (409, errors.BackendUnreachable, "being deleted"),
    "InvalidResourceName": (400, errors.BucketMissing, "small letters"),
    "BlobNotFound": (404, errors.ObjectNotFound, "a/b"),
    "ConditionNotMet": (412, errors.ObjectNotFound, "a/b"),
    "BlobAlreadyExists": (409, errors.ObjectExists, "a/b"),
    "ServerBusy": (503, errors.BackendBusy, "fewer calls"),
    "OperationTimedOut": (500, errors.BackendUnreachable, "timed out"),
    "Md5Mismatch": (400, errors.ChecksumMismatch, "not those"),
    "AccountLimitExceeded": (409, errors.BackendFull, "no space"),
    "BlobArchived": (409, errors.BackendUnreachable, "archive"),
    "SomethingNew": (418, errors.BackendUnreachable, "status 418 SomethingNew"),
    "not a code; sig=canary": (400, errors.BackendUnreachable, "status 400"),
}


@pytest.mark.parametrize(("code", "expected"), CODES.items(), ids=CODES.keys())
def test_a_code_has_a_meaning(code, expected):
    """003.11"""
    status, problem, why = expected
    found = problem_of(answered(status, code), PLACE)

    assert type(found) is problem
    assert why in str(found)


@pytest.mark.parametrize("code", BY_CODE)
def test_every_meaning_is_a_sentence_wherever_it_happens(code):
    for place in (PLACE, Place("azure", "models-1"), Place("azure")):
        assert str(problem_of(answered(400, code), place)).endswith(".")


STATUSES = {
    401: errors.BackendRefused,
    404: errors.ObjectNotFound,
    429: errors.BackendBusy,
    502: errors.BackendUnreachable,
}


@pytest.mark.parametrize(("status", "problem"), STATUSES.items())
def test_a_status_without_a_code_has_a_meaning(status, problem):
    """Whatever stands between us and Azure may answer."""
    assert type(problem_of(answered(status), PLACE)) is problem


def test_kinds_of_the_sdk_do_not_matter():
    assert isinstance(
        problem_of(answered(404, "ContainerNotFound", ResourceNotFoundError), PLACE), errors.BucketMissing
    )


CAUSES = {
    "has no address": ServiceRequestError("x", error=aiohttp.ClientConnectorDNSError(None, OSError())),
    "certificate": ServiceRequestError("x", error=aiohttp.ClientConnectorCertificateError(None, OSError())),
    "takes no connection": ServiceRequestError("x", error=aiohttp.ClientConnectorError(None, OSError())),
    "answer was cut off": IncompleteReadError("x", error=aiohttp.ClientPayloadError()),
    "connection was cut off": ServiceRequestError("x", error=aiohttp.ServerDisconnectedError()),
    "not answer in time": ServiceResponseTimeoutError("x"),
    "failed": AzureError("x"),
}


@pytest.mark.parametrize(("why", "error"), CAUSES.items(), ids=CAUSES.keys())
def test_a_failed_connection_says_how_it_failed(why, error):
    found = problem_of(error, PLACE)

    assert type(found) is errors.BackendUnreachable
    assert why in str(found)


def test_who_cannot_sign_in_is_told_what_to_correct():
    found = problem_of(answered(401, kind=ClientAuthenticationError), PLACE)

    assert "AZURE_CLIENT_SECRET" in str(found)


def test_no_text_of_the_sdk_gets_through():
    """000.27"""
    with pytest.raises(errors.BackendUnreachable) as caught, told(PLACE):
        raise answered(500, "InternalError")

    assert "canary" not in f"{caught.value} {caught.value!r} {caught.value.facts}"
    assert caught.value.__suppress_context__


ACCOUNTS = {
    "names no account": AzureAccount(connection_string="BlobEndpoint=http://x/y"),
    "no account key": AzureAccount(connection_string="AccountName=a;SharedAccessSignature=sig"),
    "UseDevelopmentStorage": AzureAccount(connection_string="UseDevelopmentStorage=true"),
    "not valid base64": AzureAccount(account_url="https://a.blob.core.windows.net", account_key="no base64!"),
    "no plain https": AzureAccount(account_url="https://a.blob.core.windows.net/?sig=x", account_key=KEY),
    "does not name the account": AzureAccount(account_url="http://127.0.0.1:1/", account_key=KEY),
    "neither an account key nor": AzureAccount(account_url="https://a.blob.core.windows.net"),
    "one is missing": AzureAccount(account_url="https://a.blob.core.windows.net", tenant_id="t", client_id="c"),
    "needs an https": AzureAccount("http://127.0.0.1:1/a", tenant_id="t", client_id="c", client_secret="s"),
}


@pytest.mark.parametrize(("why", "account"), ACCOUNTS.items(), ids=ACCOUNTS.keys())
def test_an_account_that_cannot_work_is_told_of_at_once(why, account):
    with pytest.raises(errors.BackendNotConfigured, match=why):
        endpoint_of(account, "azure")


@pytest.mark.parametrize(
    ("account", "name", "url"),
    [
        (
            AzureAccount("https://mine.blob.core.windows.net/", account_key=KEY),
            "mine",
            "https://mine.blob.core.windows.net",
        ),
        (
            AzureAccount(connection_string=f"DefaultEndpointsProtocol=https;AccountName=mine;AccountKey={KEY}==;"),
            "mine",
            "https://mine.blob.core.windows.net",
        ),
        (
            AzureAccount(connection_string=f"AccountName=m;AccountKey={KEY};BlobEndpoint=http://127.0.0.1:1/m;"),
            "m",
            "http://127.0.0.1:1/m",
        ),
    ],
)
def test_an_account_is_found(account, name, url):
    endpoint = endpoint_of(account, "azure")

    assert (endpoint.name, endpoint.url) == (name, url)
    assert KEY not in repr(endpoint) + repr(account)


def test_waits_double_and_differ_and_follow_what_azure_asks():
    repeats = Repeats(Patience(first_wait=1))
    waits = [[repeats.get_backoff_time({"count": count}) for _ in range(50)] for count in (1, 2, 3)]

    for count, some in enumerate(waits):
        assert 0.5 * 2**count <= min(some) < max(some) <= 1.5 * 2**count
    assert repeats.get_backoff_time({"count": 1, "asked": 5.0}) == 5
    assert repeats.get_backoff_time({"count": 1, "asked": 3600.0}) == 10
