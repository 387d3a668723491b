"""Passwords as bcrypt keeps them."""

import bcrypt
import pytest

from services.metadata.adapters import passwords
from services.metadata.adapters.passwords import Bcrypt


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "ROUNDS", 4)


async def test_two_hashes_of_a_password_differ_and_both_are_its():
    one, two = [await Bcrypt().hash("größer als nichts") for _ in range(2)]

    assert one != two
    assert [await Bcrypt().verify("größer als nichts", each) for each in (one, two)] == [True, True]
    assert not await Bcrypt().verify("größer als nicht", one)


async def test_hashes_that_others_made_are_good():
    """003.2: accounts made before there was this service go on."""
    kept = bcrypt.hashpw(b"p" * 72, bcrypt.gensalt(4)).decode().replace("$2b$", "$2a$")

    assert await Bcrypt().verify("p" * 80, kept)


@pytest.mark.parametrize("password", ["", "x", "nul\x00", "p" * 5000, "\U0001f511" * 40])
async def test_no_password_is_that_of_no_hash(password: str):
    assert not await Bcrypt().verify(password, "")


def test_hashing_takes_its_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()

    assert passwords.ROUNDS >= 12
