"""Addresses and errors of PostgreSQL."""

import ssl

import pytest

from services.metadata.adapters.pooled import AddressWrong
from services.metadata.adapters.postgres import server_of

URL = "postgres://ada:s3c%2Fret@db.example:6543/models"


def test_address_names_server_user_and_database():
    url = server_of(URL).url

    assert (url.drivername, url.host, url.port) == ("postgresql+asyncpg", "db.example", 6543)
    assert (url.username, url.password, url.database) == ("ada", "s3c/ret", "models")


def test_password_is_never_shown():
    server = server_of(f"{URL}?sslmode=require")

    assert server.shown == "postgresql://ada:***@db.example:6543/models"
    assert "s3c" not in f"{server!r} {server}"


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require"])
def test_mode_of_libpq_is_passed_on(mode: str):
    """004.12"""
    assert server_of(f"{URL}?sslmode={mode}").arguments["ssl"] == mode


@pytest.mark.parametrize(("mode", "checks"), [("verify-ca", False), ("verify-full", True)])
def test_certificate_is_verified_when_asked_for(mode: str, checks: bool):
    context = server_of(f"{URL}?sslmode={mode}").arguments["ssl"]

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname is checks


def test_option_that_is_not_known_is_refused_by_its_name():
    with pytest.raises(AddressWrong, match="the option passwd") as raised:
        server_of(f"{URL}?passwd=hidden")

    assert "sslmode" in str(raised.value)
    assert "hidden" not in str(raised.value)
