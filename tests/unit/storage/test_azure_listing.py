"""The order of lists, over a service that orders its blobs in either of the ways that Azure may."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.storage.adapters.azure import listing, names, records
from services.storage.domain.keys import wrong_with_key
from services.storage.domain.model import Draft, ObjectName, StoredObject

KEYS = st.text("a.%/!-z\uff21\U0001f600", min_size=1, max_size=6).filter(lambda key: not wrong_with_key(key))

Order = Callable[[str], bytes]
ORDERS: dict[str, Order] = {
    "by bytes": lambda name: name.encode(),
    "by 16-bit units": lambda name: name.encode("utf-16-be"),
}


class Listed:
    """An account that lists names in an order of its own, a few at a time, from a name on."""

    name = "azure"

    def __init__(self, keys: set[str], order: Order) -> None:
        self.order = order
        self.blobs = sorted(map(names.blob_of, keys), key=order)
        self.given = 0

    def container(self, _: str) -> "Listed":
        return self

    def container_of(self, placement: str) -> str:
        return placement

    @asynccontextmanager
    async def calling(self, _: object) -> AsyncIterator[None]:
        yield

    def stored(self, draft: Draft, size: int, sha256: str, create_time: datetime) -> StoredObject:
        return StoredObject(draft, size, sha256, create_time, "azure", "models", "")

    def list_blobs(self, prefix: str, include: list[str], results_per_page: int, start_from: str | None) -> "Listed":
        first = self.order(start_from or "")
        assert (start_from or prefix).startswith(prefix)
        found = [name for name in self.blobs if name.startswith(prefix) and self.order(name) >= first]
        self.pages = [found[at : at + results_per_page] for at in range(0, len(found), results_per_page)]
        return self

    async def by_page(self) -> AsyncIterator[AsyncIterator[SimpleNamespace]]:
        for page in self.pages:
            yield self._of(page)

    async def _of(self, page: list[str]) -> AsyncIterator[SimpleNamespace]:
        for name in page:
            self.given += 1
            draft = Draft(ObjectName("models", names.key_of(name)), "", "", "", "r")
            stored = self.stored(draft, 0, "0" * 64, datetime(2026, 1, 1, tzinfo=UTC))
            yield SimpleNamespace(name=name, metadata=records.encoded(stored))


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
@settings(max_examples=200)
@given(
    keys=st.sets(KEYS, max_size=12),
    prefix=st.just("") | st.text("a.%/!-", max_size=2),
    after=KEYS | st.just(""),
    limit=st.integers(1, 4),
)
async def test_a_page_is_what_comes_next_in_the_order_of_bytes(order, keys, prefix, after, limit):
    page = await listing.page(Listed(keys, order), "models", prefix, after, limit)

    wanted = sorted((key for key in keys if key.startswith(prefix) and key > after), key=str.encode)
    assert [stored.name.key for stored in page] == wanted[:limit]


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
async def test_ordinary_keys_are_read_no_further_than_their_page(order):
    keys = {f"alice/model-{number:04}/v1.2-rc.zip" for number in range(500)}
    service = Listed(keys, order)
    page = await listing.page(service, "models", "alice/", "alice/model-0249/v1.2-rc.zip", 10)

    assert [stored.name.key for stored in page] == sorted(keys)[250:260]
    assert service.given == 12
