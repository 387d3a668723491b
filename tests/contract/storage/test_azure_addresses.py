"""Addresses at Azure, to read one blob or to send the bytes of one, and what their holders cannot do."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

import httpx
import pytest
from azure.storage.blob import BlobServiceClient

from services.storage.adapters.azure.account import AzureAccount
from services.storage.adapters.azure.backend import AzureBackend, azure_backend
from services.storage.domain.errors import BackendUnreachable, ObjectExists, ObjectNotFound, SizeMismatch
from services.storage.domain.model import StoredObject
from tests.contract.storage.conftest import early_and_late
from tests.servers.azurite import Azurite, azurite
from tests.servers.faults import Faults, faulty
from tests.servers.objects import complete, draft, expires, get, keys, put

MIB = 2**20


@pytest.fixture(scope="module")
def server() -> Iterator[Azurite]:
    with azurite() as server:
        yield server


@pytest.fixture
def account(server: Azurite) -> AzureAccount:
    return server.account()


@pytest.fixture
async def backend(account: AzureAccount) -> AsyncIterator[AzureBackend]:
    async with azure_backend(account) as backend:
        yield backend


@pytest.fixture
def proxy(server: Azurite) -> Iterator[Faults]:
    with faulty(server.url) as proxy:
        yield proxy


@pytest.fixture
async def behind(server: Azurite, proxy: Faults) -> AsyncIterator[AzureBackend]:
    """The account as it is seen through the proxy."""
    async with azure_backend(server.account(proxy.url)) as backend:
        yield backend


@pytest.fixture
def plain(server: Azurite) -> Iterator[BlobServiceClient]:
    """The SDK as anybody may use it."""
    with BlobServiceClient.from_connection_string(server.connection_string) as client:
        yield client


class TestAddresses:
    async def test_an_address_gives_the_file_to_whoever_holds_it(self, backend):
        stored = await put(backend, replace(draft("a/дом?.csv"), file_name="дом 1.csv"))
        answer = httpx.get(await backend.sign(stored, expires()))

        assert (answer.status_code, answer.content) == (200, b"some bytes")
        assert "filename*=UTF-8''%D0%B4%D0%BE%D0%BC%201.csv" in answer.headers["content-disposition"]

    async def test_an_address_reads_one_object_and_does_nothing_else(self, backend):
        stored, other = await put(backend, "a"), await put(backend, "b")
        uri = await backend.sign(stored, expires())
        token = uri.partition("?")[2]

        assert httpx.get(f"{other.uri}?{token}").status_code == 403
        assert httpx.get(uri.replace("sp=r", "sp=rd")).status_code == 403
        assert httpx.get(stored.uri).status_code in {401, 403, 404}
        assert httpx.delete(uri).status_code == 403
        assert httpx.put(uri, content=b"x", headers={"x-ms-blob-type": "BlockBlob"}).status_code == 403
        assert await get(backend, "a") == b"some bytes"

    async def test_an_address_expires(self, backend):
        stored = await put(backend, "a")

        async def read(uri: str) -> int:
            return httpx.get(uri).status_code

        assert await early_and_late(partial(backend.sign, stored), read) == (200, 403)


async def send(ticket, data: bytes = b"sent bytes", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.request(ticket.method, ticket.uri, content=data, headers={**ticket.headers, **headers})


class TestTickets:
    async def test_what_is_sent_is_an_object_once_it_is_committed(self, backend):
        drafted = draft("a/дом.csv", tags=("x",))
        answer = await send(await backend.direct.ticket(drafted, expires()))

        assert answer.status_code == 201
        assert await keys(backend) == []
        with pytest.raises(ObjectNotFound):
            await backend.stat(drafted.name)
        stored = await complete(backend, drafted)
        assert stored.draft == drafted
        assert await backend.stat(drafted.name) == stored
        assert await get(backend, "a/дом.csv") == b"sent bytes"

    async def test_many_blocks_are_copied_in_order(self, backend, monkeypatch):
        monkeypatch.setattr("services.storage.adapters.azure.direct.COPY_BYTES", MIB)
        data = bytes(range(251)) * 41_000
        await send(await backend.direct.ticket(draft("a"), expires()), data)
        await complete(backend, draft("a"))

        assert await get(backend, "a") == data

    async def test_an_empty_file_can_be_sent(self, backend):
        await send(await backend.direct.ticket(draft("a"), expires()), b"")

        assert (await complete(backend, draft("a"))).size == 0

    async def test_nothing_is_left_of_what_is_not_committed(self, backend, account, plain):
        await send(await backend.direct.ticket(draft("a"), expires()))
        async with backend.direct.sent(draft("a")) as sent:
            with pytest.raises(SizeMismatch):
                await sent.commit(1, "0" * 64)

        assert list(plain.get_container_client(account.incoming).list_blob_names()) == []
        with pytest.raises(ObjectNotFound):
            await complete(backend, draft("a"))

    async def test_nothing_waits_any_more_once_it_is_committed(self, backend, account, plain):
        await send(await backend.direct.ticket(draft("a"), expires()))
        await complete(backend, draft("a"))

        assert list(plain.get_container_client(account.incoming).list_blob_names()) == []

    async def test_where_nothing_came_nothing_is_found(self, backend):
        with pytest.raises(ObjectNotFound):
            await complete(backend, draft("a"))
        await backend.direct.ticket(draft("a"), expires())
        with pytest.raises(ObjectNotFound):
            await complete(backend, draft("a"))

    async def test_a_ticket_is_not_given_for_what_exists(self, backend):
        await put(backend, "a")

        with pytest.raises(ObjectExists):
            await backend.direct.ticket(draft("a"), expires())

    async def test_a_ticket_changes_neither_what_was_sent_nor_what_was_committed(self, backend):
        ticket = await backend.direct.ticket(draft("a"), expires())
        await send(ticket)
        unconditional = replace(ticket, headers={"x-ms-blob-type": "BlockBlob"})

        assert (await send(ticket, b"other")).status_code in {403, 409}
        assert (await send(unconditional, b"other")).status_code == 403
        stored = await complete(backend, draft("a"))
        assert (await send(ticket, b"later")).status_code == 201  # it waits again, for nobody
        assert await get(backend, "a") == b"sent bytes"
        with pytest.raises(ObjectExists):
            await complete(backend, draft("a"))
        assert await backend.stat(stored.name) == stored

    async def test_a_ticket_reaches_no_other_blob_and_allows_nothing_else(self, backend):
        ticket = await backend.direct.ticket(draft("a"), expires())
        other = await put(backend, "b")
        token = ticket.uri.partition("?")[2]
        blob = ticket.uri.partition("?")[0]

        for uri in (f"{other.uri}?{token}", f"{other.uri}2?{token}", f"{blob}2?{token}"):
            assert (await send(replace(ticket, uri=uri))).status_code == 403
        await send(ticket)
        assert httpx.get(ticket.uri).status_code == 403
        assert httpx.delete(ticket.uri).status_code == 403
        for change in ("comp=metadata", "comp=properties", "comp=block&blockid=YQ==", "comp=blocklist", "comp=tags"):
            answer = await send(replace(ticket, uri=f"{ticket.uri}&{change}"), b"")
            assert answer.status_code in {400, 403}

    async def test_metadata_that_a_holder_makes_up_counts_for_nothing(self, backend):
        """An object's owner, size and checksum are what we wrote, whatever came with the bytes."""
        real = await put(backend, "real")
        forged = {"x-ms-meta-modelyard": "1", "x-ms-meta-owner": "mallory", "x-ms-meta-size": "1"}
        await send(await backend.direct.ticket(draft("a"), expires()), **forged)

        assert await keys(backend) == ["real"]
        stored = await complete(backend, draft("a"))
        assert (stored.draft.owner, stored.size) == ("alice", len(b"sent bytes"))
        assert await backend.stat(stored.name) == stored
        assert real.draft.owner == "alice"

    async def test_other_bytes_than_those_that_were_read_are_not_committed(self, backend, account, plain):
        ticket = await backend.direct.ticket(draft("a"), expires())
        await send(ticket)
        async with backend.direct.sent(draft("a")) as sent:
            assert [piece async for batch in sent.batches() for piece in batch] == [b"sent bytes"]
            waiting = plain.get_container_client(account.incoming)
            for name in waiting.list_blob_names():
                waiting.upload_blob(name, b"swap bytes", overwrite=True)
            with pytest.raises((ObjectNotFound, BackendUnreachable)):
                await sent.commit(10, hashlib.sha256(b"sent bytes").hexdigest())

        assert await keys(backend) == []

    async def test_where_azure_may_not_copy_the_bytes_go_over_us(self, behind, proxy):
        proxy.answer(
            403,
            headers={"x-ms-error-code": "CannotVerifyCopySource"},
            when=lambda request: "x-ms-copy-source" in request.headers,
        )
        data = bytes(range(251)) * 41_000
        await send(await behind.direct.ticket(draft("a"), expires()), data)
        stored = await complete(behind, draft("a"))

        assert proxy.seen(lambda request: "x-ms-copy-source" in request.headers) > 0
        assert await behind.stat(stored.name) == stored
        assert await get(behind, "a") == data

    async def test_pages_without_end_are_not_read(self, backend):
        """A holder may create a blob of 8 TiB of nothing with one request."""
        ticket = await backend.direct.ticket(draft("a"), expires())
        pages = {"x-ms-blob-type": "PageBlob", "x-ms-blob-content-length": str(2**40)}

        assert (await send(ticket, b"", **pages)).status_code == 201
        with pytest.raises(ObjectNotFound):
            await complete(backend, draft("a"))

    async def test_the_same_upload_completed_twice_at_once_is_one_object(self, backend):
        await send(await backend.direct.ticket(draft("a"), expires()), b"x" * MIB)
        done = await asyncio.gather(*(complete(backend, draft("a")) for _ in range(4)), return_exceptions=True)

        assert sum(isinstance(result, StoredObject) for result in done) == 1
        assert all(isinstance(r, StoredObject | ObjectExists | ObjectNotFound | BackendUnreachable) for r in done), done
        assert await get(backend, "a") == b"x" * MIB

    async def test_what_nobody_came_back_for_is_swept(self, server, account, plain, monkeypatch):
        async with azure_backend(account) as backend:
            await send(await backend.direct.ticket(draft("a"), expires()))
        monkeypatch.setattr("services.storage.adapters.azure.direct.ABANDONED", timedelta(0))
        async with azure_backend(account) as backend:
            await backend.direct.ticket(draft("b"), expires())

        assert list(plain.get_container_client(account.incoming).list_blob_names()) == []
