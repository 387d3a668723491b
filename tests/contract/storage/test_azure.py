"""What Azure alone asks for: names, metadata, blocks, containers, and the order of its lists."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from azure.core import MatchConditions
from azure.storage.blob import BlobServiceClient

from services.storage.adapters.azure.account import AzureAccount
from services.storage.adapters.azure.backend import AzureBackend, azure_backend
from services.storage.domain.errors import (
    BackendRefused,
    BucketMissing,
    InvalidKey,
    NoFiles,
    ObjectDamaged,
    ObjectExists,
    ObjectNotFound,
    SizeMismatch,
    StagedFileUnknown,
)
from services.storage.domain.model import Access, Draft, ObjectName, Span, StoredObject
from tests.servers.azurite import Azurite, azurite, own_containers
from tests.servers.faults import Faults, faulty
from tests.servers.objects import draft, get, keys, put

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


class TestNames:
    async def test_a_blob_lies_where_the_key_says(self, backend, account, plain):
        """002.2: the container of the placement, and in it the key itself."""
        stored = await put(backend, "alice/m1/model-3.zip")
        blob = plain.get_blob_client(account.containers["models"], "alice/m1/model-3.zip")

        assert blob.download_blob().readall() == b"some bytes"
        assert (stored.backend, stored.bucket, stored.uri) == ("azure", account.containers["models"], blob.url)

    async def test_a_placement_that_is_not_named_has_a_container_of_its_name(self, account):
        placement = f"other-{account.incoming[-12:]}"
        async with azure_backend(account) as backend:
            stored = await put(backend, draft("a", placement))

            assert stored.bucket == placement
            assert await get(backend, "a", placement) == b"some bytes"

    @pytest.mark.parametrize("key", ["a.", "a./b", "a.%", "...", "a..", ".x./.y.", "a%", "a%2E", "b .", "é./é"])
    async def test_a_dot_at_the_end_of_a_segment_stays(self, backend, key):
        """Azure itself would drop it."""
        others = [key.replace(".", ""), key.replace("%", ""), key + "%", key + "x"]
        for other in {other for other in others if other and "//" not in other and not other.startswith("/")} - {key}:
            await put(backend, other, b"other")
        stored = await put(backend, key, key.encode())

        assert await get(backend, key) == key.encode()
        assert key in await keys(backend)
        assert not any(part.endswith(".") for part in stored.uri.split("/")[3:])

    @pytest.mark.parametrize("key", ["a/" * 254 + "b", "a\uffff"])
    async def test_a_key_that_azure_cannot_have_is_refused(self, backend, key):
        with pytest.raises(InvalidKey):
            await put(backend, key)
        for look in (backend.stat, backend.delete):
            with pytest.raises(ObjectNotFound):
                await look(ObjectName("models", key))
        assert await keys(backend, key) == []


class TestRecords:
    async def test_all_that_is_known_of_an_object_comes_back(self, backend):
        drafted = Draft(
            ObjectName("datasets", "алиса/дом 1.csv"),
            "алиса  ",
            "text/csv; charset=utf-8",
            'дом, 1;"2"%.csv',
            "=utf8=looks encoded",
            staged_path="/not/kept",
            access=Access.PUBLIC,
            expire_time=datetime(2031, 2, 3, 4, 5, 6, 7, tzinfo=UTC),
            tags=("ml-project", "генерация", "x  y", " z"),
            context={"project_name": "Ein  Haus — 日本", "task_type": "general_ml"},
        )
        stored = await put(backend, drafted)

        assert stored.draft == replace(drafted, staged_path="")
        assert await backend.stat(drafted.name) == stored
        assert await backend.page("datasets", "", "", 10) == [stored]

    async def test_as_much_metadata_as_there_may_be_fits(self, backend):
        """Azure takes 8 KiB, in ASCII."""
        drafted = Draft(
            ObjectName("models", "日" * 66 + "/x"),
            "日" * 66,
            "日" * 85,
            "日" * 85,
            "日" * 66,
            tags=tuple(f"{number}" + "日" * 33 for number in range(10)),
            context={f"{'n' * 39}{chr(97 + number)}": "日" * 66 for number in range(10)},
        )
        stored = await put(backend, drafted)

        assert await backend.stat(drafted.name) == stored

    async def test_whoever_reads_at_azure_sees_type_name_and_tags(self, backend, plain):
        """000.11: tags and context can be searched for."""
        drafted = draft("a", tags=("ml-project", "дом"), context={"task_type": "general_ml", "note": "дом"})
        stored = await put(backend, drafted)
        blob = plain.get_blob_client(stored.bucket, "a")

        settings = blob.get_blob_properties().content_settings
        assert (settings.content_type, settings.content_disposition) == ("text/csv", 'attachment; filename="file.csv"')
        assert blob.get_blob_tags() == {"ml-project": "true", "task_type": "general_ml"}

    async def test_a_blob_of_somebody_else_is_no_object_and_stays_as_it_is(self, backend, account, plain):
        container = account.containers["models"]
        await put(backend, "ours")
        plain.get_blob_client(container, "theirs").upload_blob(b"theirs", metadata={"owner": "bob"})
        name = ObjectName("models", "theirs")

        assert await keys(backend) == ["ours"]
        for look in (backend.stat, backend.delete):
            with pytest.raises(ObjectNotFound):
                await look(name)
        with pytest.raises(ObjectExists):
            await put(backend, "theirs")
        assert plain.get_blob_client(container, "theirs").download_blob().readall() == b"theirs"

    async def test_a_blob_that_was_changed_behind_our_back_is_damaged(self, backend, plain):
        stored = await put(backend, "a")
        blob = plain.get_blob_client(stored.bucket, "a")
        metadata = blob.get_blob_properties().metadata
        blob.upload_blob(b"shorter", overwrite=True, metadata=metadata)

        with pytest.raises(ObjectDamaged):
            await get(backend, "a")
        blob.set_blob_metadata(metadata | {"size": "many"})
        with pytest.raises(ObjectDamaged):
            await backend.stat(stored.name)
        assert await backend.delete(stored.name) == len(b"shorter")

    async def test_azure_keeps_no_files(self, backend):
        with pytest.raises(NoFiles):
            await backend.stage()
        async with backend.create(draft("a")) as pending:
            with pytest.raises(StagedFileUnknown):
                await pending.staged(1)


class TestBytes:
    async def test_an_object_of_many_blocks_is_whole(self, backend):
        data = bytes(range(251)) * 80_000  # 19 MiB, in no step with blocks or chunks
        await put(backend, "big", data)

        assert await get(backend, "big") == data
        async with backend.open(ObjectName("models", "big")) as source:
            for start, count in ((0, 1), (4 * MIB - 1, 2), (5, 9 * MIB), (len(data) - 1, 1)):
                pieces = [piece async for batch in source.batches(Span(start, count)) for piece in batch]
                assert b"".join(pieces) == data[start : start + count]

    async def test_no_other_bytes_are_committed_than_came(self, backend):
        async with backend.create(draft("a")) as pending:
            await pending.write([b"123"])
            with pytest.raises(SizeMismatch):
                await pending.commit(4, "0" * 64)

        assert await keys(backend) == []

    async def test_uploads_of_one_key_do_not_mix(self, backend):
        datas = [bytes([number]) * (9 * MIB + number) for number in range(4)]
        done = await asyncio.gather(*(put(backend, "a", data) for data in datas), return_exceptions=True)
        won = [data for data, result in zip(datas, done, strict=True) if isinstance(result, StoredObject)]

        assert sum(isinstance(result, ObjectExists) for result in done) == 3
        assert [await get(backend, "a")] == won

    async def test_bytes_never_mix_between_two_objects_of_one_name(self, backend):
        first = b"1" * (20 * MIB)
        await put(backend, "a", first)
        name = ObjectName("models", "a")
        async with backend.open(name) as source:
            reading = source.batches(Span(0, len(first)))
            seen = await anext(reading)
            await backend.delete(name)
            await put(backend, "a", b"2" * len(first))
            with pytest.raises(ObjectNotFound):
                async for batch in reading:
                    seen = [*seen, *batch]
            await reading.aclose()

        assert set(b"".join(seen)) == {ord("1")}

    async def test_writing_waits_for_azure(self, behind, proxy):
        """No more than four blocks and what is being collected are held."""
        proxy.delay(0.05)
        async with behind.create(draft("a")) as pending:
            for number in range(1, 13):
                await pending.write([bytes(MIB)] * 4)
                arrived = proxy.seen(lambda request: request.method == "PUT" and "comp=block&" in request.path)
                assert arrived >= number - 4

    async def test_what_is_given_up_is_gone_and_nothing_runs_on(self, behind, proxy):
        proxy.delay(0.3)
        before = asyncio.all_tasks()

        async def upload() -> None:
            async with behind.create(draft("a")) as pending:
                await pending.write([bytes(MIB)] * 40)
                await pending.commit(40 * MIB, "0" * 64)

        running = asyncio.create_task(upload())
        await asyncio.sleep(0.2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        assert asyncio.all_tasks() == before
        proxy.heal()
        assert await keys(behind) == []


class TestLists:
    DOTS = (
        "a|a.|a..|a.-|a. |a.!|a.%|a.%%|a.%/b|a.%-|a.%z|a./b|a./b.|a./b./c|a.0|a.b|a/b|a-b|a%|x/.y.|x/.y.-z|x/.y./z|x/.y"
    )
    PLANES = "\uff21|\uff21/1|\ue000|\U0001f600|\U0001f600/1|\U0001f600.|日本|x/\uff5e|x/\U00020000|x/é"
    AWKWARD = (*DOTS.split("|"), *PLANES.split("|"))

    @pytest.fixture
    async def filled(self, backend: AzureBackend) -> AzureBackend:
        await asyncio.gather(*(put(backend, key, b"") for key in self.AWKWARD))
        return backend

    async def test_keys_come_in_the_order_of_their_bytes_whatever_azure_thinks(self, filled):
        ordered = sorted(self.AWKWARD, key=str.encode)

        for limit in (1, 2, 3, 5, 7, len(ordered) - 1, len(ordered), 100):
            assert await keys(filled, limit=limit) == ordered

    @pytest.mark.parametrize(
        "prefix", ["a", "a.", "a./", "a.%", "x/", "x/.y", "x/.y.", "x/.y./", "\uff21", "\U0001f600"]
    )
    async def test_a_prefix_is_of_keys_and_not_of_blobs(self, filled, prefix):
        ordered = sorted((key for key in self.AWKWARD if key.startswith(prefix)), key=str.encode)

        for limit in (1, 2, 100):
            assert await keys(filled, prefix, limit) == ordered

    @pytest.mark.parametrize("after", ["", "a", "a.", "a.-", "a.zzz", "b", "x/.y.", "\uffee", "\U0001f5ff", "日"])
    async def test_a_list_goes_on_after_any_key(self, filled, after):
        ordered = sorted((key for key in self.AWKWARD if key > after), key=str.encode)

        assert [stored.name.key for stored in await filled.page("models", "", after, 100)] == ordered
        assert await filled.page("models", "a", "b", 100) == []

    async def test_a_long_list_is_read_a_page_at_a_time(self, behind, proxy):
        await asyncio.gather(*(put(behind, f"{number:03}", b"") for number in range(40)))
        proxy.forget()

        assert await keys(behind, limit=10) == [f"{number:03}" for number in range(40)]
        assert proxy.seen() == 5

    async def test_where_nothing_was_ever_stored_there_is_nothing(self, backend):
        name = ObjectName("models", "a")

        assert await backend.page("models", "", "", 10) == []
        for look in (backend.stat, backend.delete):
            with pytest.raises(ObjectNotFound):
                await look(name)


class TestContainers:
    async def test_a_container_that_was_taken_away_is_made_again(self, backend, plain):
        stored = await put(backend, "a")
        plain.delete_container(stored.bucket)

        await put(backend, "b")
        assert await keys(backend) == ["b"]

    async def test_where_the_role_may_not_make_containers_the_error_names_the_one_to_make(self, behind, proxy, account):
        makes = "restype=container"
        proxy.answer(
            403,
            headers={"x-ms-error-code": "AuthorizationPermissionMismatch"},
            when=lambda request: request.method == "PUT" and makes in request.path,
        )
        with pytest.raises(BucketMissing, match="it cannot be made: the credentials may not make containers"):
            await put(behind, "a")
        with pytest.raises(BucketMissing):
            await behind.probe()

    async def test_a_probe_makes_what_is_missing_and_sees_what_is_refused(self, behind, proxy, plain):
        """003.12"""
        await behind.probe()
        proxy.forget()
        await behind.probe()

        assert proxy.seen() == len(own_containers()["containers"])
        proxy.answer(403, headers={"x-ms-error-code": "AuthorizationFailure"})
        with pytest.raises(BackendRefused, match="firewall"):
            await behind.probe()

    async def test_without_named_containers_a_probe_asks_for_the_account(self, account, proxy, server):
        elsewhere = replace(account, containers={}, connection_string=server.through(proxy.url))
        async with azure_backend(elsewhere) as backend:
            await backend.probe()
            proxy.answer(403, headers={"x-ms-error-code": "AuthenticationFailed"})
            with pytest.raises(BackendRefused, match="clock is wrong"):
                await backend.probe()

    async def test_an_account_that_takes_no_tags_keeps_the_object_all_the_same(self, behind, proxy, plain):
        """The role Storage Blob Data Contributor may not write tags: 002.12."""
        proxy.answer(
            403,
            headers={"x-ms-error-code": "AuthorizationPermissionMismatch"},
            when=lambda request: "x-ms-tags" in request.headers,
        )
        one = await put(behind, draft("one", tags=("ml-project",)))
        proxy.forget()
        two = await put(behind, draft("two", tags=("ml-project",)))

        assert [one, two] == await behind.page("models", "", "", 10)
        assert one.draft.tags == ("ml-project",)
        assert proxy.seen(lambda request: "x-ms-tags" in request.headers) == 0


async def test_of_many_that_create_at_azure_one_wins(backend, plain):
    """The condition is kept by Azure, not by us."""
    stored = await put(backend, "a")
    blob = plain.get_blob_client(stored.bucket, "a")

    for _ in range(2):
        with pytest.raises(ObjectExists):
            await put(backend, draft("a", request_id="another"), b"other")
    assert blob.get_blob_properties(match_condition=MatchConditions.IfPresent).size == len(b"some bytes")
