"""Users, and the passwords they are known by."""

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from typing_extensions import override

from services.metadata.domain.checks import check
from services.metadata.domain.entities import Session, User
from services.metadata.domain.errors import EmailOrPasswordWrong, FieldMalformed, FieldMissing, RecordNotFound
from services.metadata.domain.ports import Query, Store, Transaction
from services.metadata.domain.records import Clock, Records, get_from, save, utc_now

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 72
"""Bytes: what lies behind them would not count."""


class Passwords(Protocol):
    """Turns passwords into what can be kept."""

    async def hash(self, password: str) -> str:
        """A hash that takes long to find the password of, with a salt of its own."""

    async def verify(self, password: str, kept: str) -> bool:
        """Whether a hash is that of a password. It takes as long, and is never so, for an empty hash."""


class Users(Records[User]):
    """All users."""

    def __init__(self, store: Store, passwords: Passwords, now: Clock = utc_now) -> None:
        super().__init__(User, store, now)
        self._passwords = passwords

    async def register(self, given: User, password: str, request_id: str) -> User:
        """Create a user who is known by this password."""
        user = _lowered(given)
        check(user)
        check_password(password)
        return await self.create(replace(user, password_hash=await self._passwords.hash(password)), request_id)

    async def find(self, user_id: str, email: str) -> User:
        """A user by the id, or by the email in any case."""
        if user_id:
            return await self.get(user_id)
        if not email:
            raise FieldMissing("id")
        found = await self._of(email)
        if found is None:
            raise RecordNotFound(label="user", id=email)
        return found

    async def verify(self, email: str, password: str) -> User:
        """The user of this email and password; EmailOrPasswordWrong, as late as ever, when there is none."""
        user = await self._of(email)
        if not await self._passwords.verify(password, user.password_hash if user else "") or user is None:
            raise EmailOrPasswordWrong
        return user

    async def set_password(self, user_id: str, password: str) -> User:
        """Take this password from now on, and let nobody go on who came in by the old one."""
        check_password(password)
        await self.get(user_id)
        kept = await self._passwords.hash(password)

        async def unit(transaction: Transaction) -> User:
            user = await get_from(transaction, User, user_id)
            await transaction.remove(Session, {"user_id": user_id})
            return await save(transaction, user, replace(user, password_hash=kept), self._now())

        return await self._store.write(unit)

    @override
    async def update(self, given: User, mask: Sequence[str]) -> User:
        """Change a user; a new email is kept in lower case."""
        return await super().update(_lowered(given), mask)

    async def _of(self, email: str) -> User | None:
        found = await self._store.find(User, Query({"email": _in_lower_case(email)}))
        return found[0] if found else None


def _lowered(user: User) -> User:
    return replace(user, email=_in_lower_case(user.email))


def _in_lower_case(email: str) -> str:
    return unicodedata.normalize("NFC", email.strip()).lower()


def check_password(password: str) -> None:
    """Raise an InvalidInput for a password that is too short or too long."""
    if not password:
        raise FieldMissing("password")
    if len(password) < SHORTEST_PASSWORD:
        raise FieldMalformed("password", problem="too short", advice=f"Take {SHORTEST_PASSWORD} characters or more")
    if len(password.encode()) > LONGEST_PASSWORD:
        raise FieldMalformed("password", problem="too long", advice=f"Take {LONGEST_PASSWORD} bytes as UTF-8 at most")
