"""Usage: what users may use of something, reserved part by part, so that no limit is ever exceeded."""

from contextlib import suppress
from dataclasses import dataclass

from services.metadata.domain import declarations
from services.metadata.domain.entities import Reservation, Usage, User
from services.metadata.domain.errors import FieldMalformed, FieldNotOneOf, RecordNotFound, UsageLimitReached
from services.metadata.domain.ports import BrokenReference, Duplicate, Query, Reader, Store, Transaction, Values
from services.metadata.domain.records import Clock, get_from, new_record, record_exists, utc_now
from services.metadata.domain.tiers import USES, limit_of


@dataclass(frozen=True)
class InUse:
    """How much of something a user uses at present."""

    what: str
    period: str
    amount: int
    limit: int | None


class Usages:
    """What all users use."""

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        self._store = store
        self._now = now

    async def reserve(self, given: Reservation, limit: int | None, request_id: str) -> tuple[Reservation, InUse]:
        """Reserve a part if it is left, up to a limit or to the tier's when that is None; a repeat reserves no more."""
        _check_what(given.what)
        if limit is not None and limit < 0:
            raise FieldMalformed("limit", problem=f"{limit}", advice="It is 0 or more")
        user = await get_from(self._store, User, given.user_id)
        most = limit_of(user.tier, given.what) if limit is None else limit
        period = self._period(given.what)
        wanted = Reservation(user_id=user.id, what=given.what, period=period, amount=given.amount)
        reservation = await self._reserve(new_record(wanted, request_id, self._now()), most)
        return reservation, await self._in_use(user, reservation.what, reservation.period, most)

    async def _reserve(self, reservation: Reservation, most: int | None) -> Reservation:
        where = _usage_of(reservation)
        await self._begin(Usage(user_id=reservation.user_id, what=reservation.what, period=reservation.period))

        async def unit(transaction: Transaction) -> Reservation:
            await transaction.insert(reservation)  # first, so that a repeat is known before the limit is looked at
            if not await transaction.count(Usage, where, "amount", reservation.amount, most):
                used = await _amount(transaction, where)
                raise UsageLimitReached(what=reservation.what, limit=most, used=used, amount=reservation.amount)
            return reservation

        try:
            return await self._store.write(unit)
        except Duplicate as duplicate:
            first = await self._earlier(reservation.user_id, reservation.request_id or "")
            if first is None:
                raise record_exists(declarations.of(Reservation), duplicate) from duplicate
            return first
        except BrokenReference:
            raise RecordNotFound(label="user", id=reservation.user_id) from None

    async def _begin(self, usage: Usage) -> None:
        """Make sure that there is something to count in."""
        where = _usage_of(usage)
        if await self._store.find(Usage, Query(where)):
            return
        fresh = new_record(usage, None, self._now())
        with suppress(Duplicate):  # another one was faster
            try:
                await self._store.write(lambda transaction: transaction.insert(fresh))
            except BrokenReference:
                raise RecordNotFound(label="user", id=usage.user_id) from None

    async def release(self, user_id: str, request_id: str) -> int:
        """Give back what one request reserved; how much that was."""

        async def unit(transaction: Transaction) -> int:
            found = await transaction.find(Reservation, Query({"user_id": user_id, "request_id": request_id}))
            if not found or not await transaction.remove(Reservation, {"id": found[0].id}):
                return 0
            await transaction.count(Usage, _usage_of(found[0]), "amount", -found[0].amount)
            return found[0].amount

        return await self._store.write(unit)

    async def of(self, user_id: str) -> list[InUse]:
        """All that a user uses at present."""
        user = await get_from(self._store, User, user_id)
        return [await self._in_use(user, what, self._period(what), limit_of(user.tier, what)) for what in USES]

    async def _in_use(self, user: User, what: str, period: str, limit: int | None) -> InUse:
        amount = await _amount(self._store, {"user_id": user.id, "what": what, "period": period})
        return InUse(what, period, amount, limit)

    async def _earlier(self, user_id: str, request_id: str) -> Reservation | None:
        found = await self._store.find(Reservation, Query({"user_id": user_id, "request_id": request_id}))
        return found[0] if found else None

    def _period(self, what: str) -> str:
        return f"{self._now():%Y-%m}" if USES[what].monthly else ""


async def _amount(reader: Reader, where: Values) -> int:
    found = await reader.find(Usage, Query(where))
    return found[0].amount if found else 0


def _usage_of(part: Reservation | Usage) -> dict[str, str]:
    return {"user_id": part.user_id, "what": part.what, "period": part.period}


def _check_what(what: str) -> None:
    if what not in USES:
        raise FieldNotOneOf("what", value=what, choices=", ".join(USES))
