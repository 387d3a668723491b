"""Who makes a request is told by a key."""

import pytest
from fastapi import FastAPI
from starlette.requests import Request

from gateway.identity import KeyUnknown, current_user
from gateway.settings import GatewaySettings

KEYS = {"ada": "a" * 32, "bob": "b" * 32}


def request_with(name: str, value: str) -> Request:
    app = FastAPI()
    app.state.settings = GatewaySettings(api_keys=KEYS, _env_file=None)
    return Request({"type": "http", "app": app, "headers": [(name.encode(), value.encode())]})


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("authorization", "Bearer "),
        ("authorization", "bearer "),
        ("authorization", "BEARER  "),
        ("x-api-key", ""),
    ],
)
async def test_a_key_tells_who_it_is(name: str, before: str):
    """000.11: the scheme before it is written in any case, as RFC 9110 has it."""
    assert await current_user(request_with(name, f"{before}{KEYS['bob']}")) == "bob"


@pytest.mark.parametrize(
    "value", ["", "Bearer ", f"Basic {KEYS['ada']}", f"bearer {KEYS['ada']}x", KEYS["ada"].upper()]
)
async def test_what_is_no_key_is_refused(value: str):
    with pytest.raises(KeyUnknown):
        await current_user(request_with("authorization", value))
