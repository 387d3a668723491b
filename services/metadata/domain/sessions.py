"""Sessions: known by tokens of which only hashes are kept."""

import hashlib
from dataclasses import replace
from datetime import timedelta

from services.metadata.domain.entities import Session, User
from services.metadata.domain.errors import (
    FieldMalformed,
    FieldMissing,
    RecordNotFound,
    SessionExpired,
    SessionUnknown,
)
from services.metadata.domain.ports import Query, Reader, Store, Transaction
from services.metadata.domain.records import Clock, Records, get_from, save, utc_now

USUAL = timedelta(days=7)
REMEMBERED = timedelta(days=30)
ACTIVE_TO = timedelta(minutes=1)
"""How exactly it is kept when a user was active: what is read at every request is not written at every one."""
SHORTEST_TOKEN = 32
LONGEST_TOKEN = 4096
BATCH = 500


class Sessions(Records[Session]):
    """All sessions."""

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        super().__init__(Session, store, now)

    async def begin(self, given: Session, token: str, request_id: str) -> Session:
        """Begin a session that is known by a token."""
        check_token("token", token)
        return await self.create(self._renewed(given, token), request_id)

    async def touch(self, token: str) -> tuple[Session, User]:
        """The session and the user of a token; from now on the user was active now."""
        session = await self._of(self._store, token)
        if self._now() - session.last_active_time >= ACTIVE_TO:
            session = await self._store.write(lambda transaction: self._touch(transaction, token))
        return session, await get_from(self._store, User, session.user_id)

    async def _touch(self, transaction: Transaction, token: str) -> Session:
        session, now = await self._of(transaction, token), self._now()
        return await save(transaction, session, replace(session, last_active_time=now), now)

    async def renew(self, token: str, new_token: str) -> Session:
        """Give a session a new token and its whole time again."""
        check_token("new_token", new_token)

        async def unit(transaction: Transaction) -> Session:
            if await _find(transaction, token) is None and await _find(transaction, new_token):
                return await self._of(transaction, new_token)  # a repeat
            session = await self._of(transaction, token)
            return await save(transaction, session, self._renewed(session, new_token), self._now())

        return await self._store.write(unit)

    async def end(self, session_id: str, token: str, allow_missing: bool) -> int:
        """End a session by its id or its token; how many that were."""
        if session_id:
            return await self.delete(session_id, allow_missing)
        if not token:
            raise FieldMissing("id")
        found = await _find(self._store, token)
        if found:
            return await self.delete(found.id, allow_missing)
        if not allow_missing:
            raise RecordNotFound(label="session", id="of this token")
        return 0

    async def delete_expired(self) -> int:
        """Remove all sessions that have expired; how many. One that is renewed meanwhile stays."""
        query = Query(before={"expire_time": self._now()}, limit=BATCH)
        count = 0
        while expired := await self._store.find(Session, query):
            count += await self._remove(expired)
        return count

    async def _remove(self, sessions: list[Session]) -> int:
        async def unit(transaction: Transaction) -> int:
            keys = ({"id": each.id, "expire_time": each.expire_time} for each in sessions)
            return sum([await transaction.remove(Session, key) for key in keys])

        return await self._store.write(unit)

    def _renewed(self, session: Session, token: str) -> Session:
        now = self._now()
        until = now + (REMEMBERED if session.remember_me else USUAL)
        return replace(session, token_hash=_hashed(token), last_active_time=now, expire_time=until)

    async def _of(self, reader: Reader, token: str) -> Session:
        session = await _find(reader, token)
        if session is None:
            raise SessionUnknown
        if session.expire_time <= self._now():
            raise SessionExpired
        return session


async def _find(reader: Reader, token: str) -> Session | None:
    found = await reader.find(Session, Query({"token_hash": _hashed(token)}))
    return found[0] if found else None


def _hashed(token: str) -> str:
    """Nobody can guess a token, so that a quick hash is as good as a slow one."""
    return hashlib.sha256(token.encode()).hexdigest()


def check_token(field: str, token: str) -> None:
    """Raise an InvalidInput for a token that is too short or too long."""
    if not SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN:
        advice = f"It has {SHORTEST_TOKEN} to {LONGEST_TOKEN} characters"
        raise FieldMalformed(field, problem=f"{len(token)} characters long", advice=advice)
