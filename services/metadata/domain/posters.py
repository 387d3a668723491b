"""Posters: the images of campaigns, and what their events are about."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from services.metadata.domain.entities import EventContext, Postback
from services.metadata.domain.errors import ContextNotSaved, FieldMissing, RecordChanged, RecordNotFound
from services.metadata.domain.kept import Kept
from services.metadata.domain.ports import BrokenReference, Duplicate, Query, Store, Transaction
from services.metadata.domain.records import Clock, Records, name_missing, new_record, save, utc_now

COUNTED_BY = ("mood", "model", "size", "generation_type", "prompt_source")
SAVED = ("event_name", "event_date", "venue", "description", "mood", "palette", "artists", "details")


@dataclass(frozen=True)
class Tallies:
    """How many images there are."""

    count: int
    by: Mapping[str, list[tuple[str, int]]]
    """For each attribute: its values with how many have them, the most frequent first."""


class Postbacks(Kept[Postback]):
    """All records of images."""

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        super().__init__(Postback, store, now)

    async def find(self, record_id: str, render_id: str) -> Postback:
        """A record by its id, or the newest of a rendering."""
        if record_id:
            return await self.get(record_id)
        if not render_id:
            raise FieldMissing("id")
        found = await self._store.find(Postback, Query({"render_id": render_id}))
        if not found:
            raise RecordNotFound(label="postback of the rendering", id=render_id)
        return found[0]

    async def tallies(self, user_id: str, campaign_id: str) -> Tallies:
        """How many images of a user, a campaign or all were made with what."""
        given = {"user_id": user_id, "campaign_id": campaign_id}
        where = {name: value for name, value in given.items() if value}
        by = {name: _ranked(await self._store.tally(Postback, where, (name,))) for name in COUNTED_BY}
        return Tallies(sum(count for _, count in by[COUNTED_BY[0]]), by)


def _ranked(tally: Mapping[tuple[str, ...], int]) -> list[tuple[str, int]]:
    return sorted(((value, count) for (value,), count in tally.items()), key=lambda each: (-each[1], each[0]))


class Contexts(Records[EventContext]):
    """What the events of all campaigns are about."""

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        super().__init__(EventContext, store, now)

    async def keep(self, given: EventContext) -> EventContext:
        """Keep what a campaign's event is about, in place of what was kept before."""
        fresh = new_record(replace(given, id=""), None, self._now())

        async def unit(transaction: Transaction) -> EventContext:
            found = await transaction.find(EventContext, Query({"campaign_id": given.campaign_id}))
            current = found[0] if found else None
            if given.etag and (current is None or given.etag != current.etag):
                raise RecordChanged(label="event context", id=given.campaign_id)
            if current is None:
                await transaction.insert(fresh)
                return fresh
            values = {name: getattr(given, name) for name in SAVED}
            return await save(transaction, current, replace(current, **values), self._now())

        try:
            return await self._store.write(unit)
        except Duplicate:  # another one saved the first in the meantime
            return await self._store.write(unit)
        except BrokenReference as broken:
            await name_missing(self._store, fresh)
            raise broken from None

    async def of(self, campaign_id: str) -> EventContext:
        """What a campaign's event is about; ContextNotSaved before that is saved."""
        found = await self._store.find(EventContext, Query({"campaign_id": campaign_id}))
        if not found:
            raise ContextNotSaved(id=campaign_id)
        return found[0]
