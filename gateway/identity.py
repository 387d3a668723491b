"""Who makes a request."""

import hmac
import re
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from gateway.settings import GatewaySettings
from servicekit import errors

LOCAL_USER = "local"
_SCHEME = re.compile("^bearer +", re.IGNORECASE)
"""What stands before a key in the header; RFC 9110 has the name of a scheme in any case."""


class KeyUnknown(errors.Unauthenticated):
    """The request carries no valid API key. Send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`."""


class AdminsOnly(errors.Denied):
    """Only those who look after this Modelyard may do that. Ask one of them to add {user} to GATEWAY_ADMINS."""


class HostUnknown(errors.Denied):
    """This gateway is not known as {host}. Add the name to GATEWAY_ALLOWED_HOSTS."""


class ForeignPage(errors.Denied):
    """A page of another site ({origin}) may not change anything here."""


def check_browser(request: Request, settings: GatewaySettings) -> None:
    """Refuse what a hostile page could make a browser on this machine send: a foreign host name or origin."""
    host = request.headers.get("host", "")
    if "*" not in settings.allowed_hosts and _name(host) not in settings.allowed_hosts:
        raise HostUnknown(host=host or "nothing")
    origin = request.headers.get("origin")
    if origin and request.method not in {"GET", "HEAD", "OPTIONS"} and origin.partition("://")[2] != host:
        raise ForeignPage(origin=origin)


def _name(host: str) -> str:
    return host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]


BEARER = HTTPBearer(auto_error=False, description="An API key; none where the gateway has no keys.")
KEY_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same in a header of its own.")


async def current_user(
    request: Request,
    _bearer: Annotated[object, Security(BEARER)] = None,
    _key: Annotated[object, Security(KEY_HEADER)] = None,
) -> str:
    """The id of the user who makes a request: the built-in one where no keys are set, which only loopback allows."""
    # The two others only tell the OpenAPI document how to show a key.
    # A coroutine although it waits for nothing: a plain function would be sent to a thread for every request.
    settings: GatewaySettings = request.app.state.settings
    if not settings.api_keys:
        return LOCAL_USER
    given = _SCHEME.sub("", request.headers.get("authorization", "")) or request.headers.get("x-api-key", "")
    matches = [
        user
        for user, key in settings.api_keys.items()
        if hmac.compare_digest(given.encode(), key.get_secret_value().encode())
    ]
    if not matches:
        raise KeyUnknown
    return matches[0]


User = Annotated[str, Depends(current_user)]


async def current_admin(request: Request, user: User) -> str:
    """The id of the user who makes a request, if they may look after the storage. Fails with AdminsOnly."""
    settings: GatewaySettings = request.app.state.settings
    if settings.api_keys and user not in settings.admins:
        raise AdminsOnly(user=user)
    return user
