"""Addresses, errors and numbers of MySQL and MariaDB."""

import math
import ssl
import sys

import pytest
from asyncmy import errors
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import IntegrityError

from services.metadata.adapters.mysql import MySQLFlavour, server_of
from services.metadata.adapters.tables import Finite, as_finite
from services.metadata.domain.ports import BrokenReference, Duplicate

URL = "mariadb://ada:s3c%40ret@db.example:3307/models"


def test_address_names_server_user_and_database():
    url = server_of(f"{URL}?charset=latin1").url

    assert (url.drivername, url.host, url.port) == ("mysql+asyncmy", "db.example", 3307)
    assert (url.username, url.password, url.database) == ("ada", "s3c@ret", "models")


def test_texts_travel_whole_whatever_the_address_says():
    assert server_of(f"{URL}?charset=latin1").arguments["charset"] == "utf8mb4"


def test_password_is_never_shown():
    server = server_of(URL)

    assert server.shown == "mysql://ada:***@db.example:3307/models"
    assert "s3c" not in f"{server!r} {server}"


@pytest.mark.parametrize(
    ("option", "verifies", "checks"),
    [
        ("ssl-mode=REQUIRED", ssl.CERT_NONE, False),
        ("ssl_mode=VERIFY_CA", ssl.CERT_REQUIRED, False),
        ("ssl_mode=VERIFY_IDENTITY", ssl.CERT_REQUIRED, True),
        ("sslmode=verify-full", ssl.CERT_REQUIRED, True),
    ],
)
def test_connection_is_encrypted_when_asked_for(option: str, verifies: int, checks: bool):
    """004.12"""
    context = server_of(f"{URL}?{option}").arguments["ssl"]

    assert (context.verify_mode, context.check_hostname) == (verifies, checks)


def test_connection_is_plain_when_nothing_is_asked_for():
    assert "ssl" not in server_of(URL).arguments
    assert "ssl" not in server_of(f"{URL}?ssl_mode=DISABLED").arguments


@pytest.mark.parametrize(
    ("number", "said", "fields"),
    [
        (1062, "Duplicate entry 'a-b' for key 'uq_projects_user_id_name'", "user_id, name"),
        (1062, "Duplicate entry 'a' for key 'projects.uq_projects_request_id'", "request_id"),
        (1062, "Duplicate entry ' for key 'x'' for key 'PRIMARY'", "id"),
        (1062, "Duplicate entry 'a' for key 'projects.PRIMARY'", "id"),
    ],
)
def test_violation_tells_the_fields_as_either_server_words_it(number: int, said: str, fields: str):
    violation = MySQLFlavour(1).violation(IntegrityError("INSERT", {}, errors.IntegrityError(number, said)))

    assert isinstance(violation, Duplicate)
    assert violation.facts == {"fields": fields}


@pytest.mark.parametrize("number", [1451, 1452])
def test_reference_to_nothing_and_from_something_are_told_apart_from_the_rest(number: int):
    flavour = MySQLFlavour(1)

    assert isinstance(flavour.violation(IntegrityError("", {}, errors.IntegrityError(number, "x"))), BrokenReference)
    assert flavour.violation(IntegrityError("", {}, errors.IntegrityError(1048, "x"))) is None


@given(st.floats(allow_nan=False))
def test_infinity_stays_infinity_and_every_other_number_stays_a_number(value: float):
    """MySQL knows no infinity, so the largest number stands for it."""
    kept = as_finite(value)
    read = Finite().process_result_value(kept, mysql.dialect())

    assert math.isfinite(kept)
    assert read == value or abs(value) == sys.float_info.max
    assert math.isinf(read) is math.isinf(value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, sys.float_info.max, -sys.float_info.max])
def test_ends_of_the_numbers_keep_their_sign_and_kind(value: float):
    read = Finite().process_result_value(as_finite(value), mysql.dialect())

    assert math.isinf(read) is math.isinf(value)
    assert math.copysign(1, read) == math.copysign(1, value)
    assert read == pytest.approx(value)
