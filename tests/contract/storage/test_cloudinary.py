"""What the Cloudinary backend does beyond the contract of all backends, and what when Cloudinary fails."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import cloudinary
import httpx
import pytest

from services.storage.adapters.cloudinary.backend import cloudinary_backend
from services.storage.adapters.cloudinary.errors import NotAnImage
from services.storage.domain.errors import (
    BackendFull,
    BackendRefused,
    BackendUnreachable,
    ChecksumMismatch,
    ObjectDamaged,
    ObjectExists,
    ObjectNotFound,
    ObjectTooLarge,
)
from services.storage.domain.model import (
    Access,
    Draft,
    ObjectName,
    Span,
    Ticket,
)
from tests.contract.storage.conftest import early_and_late
from tests.servers.cloudinary.fixtures import (  # noqa: F401 — fixtures work where they are imported
    LARGE,
    SMALL,
    UPLOAD,
    account_fixture,
    account_of,
    backend_fixture,
    cloud_fixture,
    draft,
    get,
    gone_fixture,
    picture,
    put,
    running_fixture,
    server_fixture,
    sha256,
)


def full(key: str, access: Access) -> Draft:
    return draft(
        key,
        access=access,
        expire_time=datetime(2027, 11, 21, tzinfo=UTC),
        tags=("ml-project", "generated-code", "дом %"),
        context={"project_name": "a=b|c", "task_type": "100%", "user_id": "", "created_at": " x\\"},
    )


class TestObjects:
    @pytest.mark.parametrize("access", Access)
    @pytest.mark.parametrize(
        "key", ["a b/50%+.csv", "дом/~1?.zip", "x" * 200 + "/" + "y" * 200, "poster.png", "photo.JPG"]
    )
    async def test_are_described_as_they_were_committed(self, backend, key, access):
        """000.11, 001.9"""
        data = picture() if "p" in key.partition(".")[0] else SMALL
        stored = await put(backend, data, full(key, access))

        assert stored.draft == full(key, access)
        assert await backend.stat(stored.name) == stored
        assert await backend.page("models", key[:5], "", 10) == [stored]
        assert await get(backend, stored.name) == data
        assert await backend.delete(stored.name) == len(data)
        assert await backend.page("models", "", "", 10) == []

    async def test_lie_where_the_seed_has_them_with_their_labels(self, backend, cloud):
        """000.2, 000.6, 000.11"""
        key = "user123/image_classification/Project_Name_20241004.zip"
        labels = {"tags": ("ml-project", "generated-code"), "context": {"project_name": "Project Name"}}
        stored = await put(backend, what=draft(key, "projects", access=Access.PUBLIC, **labels))
        [asset] = cloud.assets.values()

        assert (asset.resource_type, asset.type, asset.public_id) == ("raw", "upload", f"freemind-ml-projects/{key}")
        assert asset.asset_folder == "freemind-ml-projects/user123/image_classification"
        assert asset.tags == ["ml-project", "generated-code"]
        assert asset.context["project_name"] == "Project Name"
        assert asset.context["modelyard_sha256"] == sha256(SMALL)
        assert stored.uri == f"{cloud.base}/raw/upload/v{asset.version}/freemind-ml-projects/{key}"
        assert stored.bucket == "freemind-ml-projects"

    async def test_are_readable_at_their_address_when_public_and_only_then(self, backend):
        """000.25, 000.34"""
        public = await put(backend, picture("JPEG"), draft("p.jpeg", access=Access.PUBLIC))
        signed = await put(backend, what=draft("s.csv"))
        async with httpx.AsyncClient() as client:
            answers = [await client.get(stored.uri) for stored in (public, signed)]

        assert [answer.status_code for answer in answers] == [200, 401]
        assert answers[0].content == picture("JPEG")

    async def test_of_one_key_are_never_two_whoever_may_read_them(self, backend):
        await put(backend, what=draft(access=Access.PUBLIC))

        with pytest.raises(ObjectExists):
            await put(backend, what=draft(access=Access.SIGNED))
        assert (await backend.stat(draft().name)).draft.access is Access.PUBLIC

    @pytest.mark.parametrize("span", [Span(0, 13_056_000), Span(0, 1), Span(13_055_999, 1), Span(5_000_001, 7_000_000)])
    async def test_that_are_large_go_in_parts_and_come_in_ranges(self, backend, server, span):
        """003.6, 002.20"""
        stored = await put(backend, LARGE)

        assert server.seen(UPLOAD) == 3
        assert await get(backend, stored.name, span) == LARGE[span.start : span.start + span.count]

    async def test_that_are_empty_are_kept_though_cloudinary_keeps_none(self, backend):
        stored = await put(backend, b"")

        assert await backend.stat(stored.name) == stored
        assert await get(backend, stored.name) == b""
        assert await backend.sign(stored, datetime.now(UTC) + timedelta(hours=1)) == ""

    async def test_made_anew_are_never_served_from_an_old_cache(self, backend):
        for data in (b"old", b"new"):
            stored = await put(backend, data, draft(access=Access.PUBLIC))
            assert await get(backend, stored.name) == data
            await backend.delete(stored.name)

    async def test_that_others_put_there_are_none_of_ours(self, backend, account):
        cloudinary.uploader.upload(SMALL, public_id="models/theirs", resource_type="raw", **account.options)

        assert await backend.page("models", "", "", 10) == []
        with pytest.raises(ObjectNotFound):
            await backend.stat(ObjectName("models", "theirs"))
        with pytest.raises(ObjectExists):
            await put(backend, what=draft("theirs", access=Access.PUBLIC))

    async def test_that_were_replaced_by_others_are_damaged(self, backend, cloud):
        stored = await put(backend)
        next(iter(cloud.assets.values())).file.size -= 1

        with pytest.raises(ObjectDamaged):
            await get(backend, stored.name)

    async def test_that_are_deleted_while_they_are_read_are_not_found(self, backend):
        stored = await put(backend)
        async with backend.open(stored.name) as source:
            await backend.delete(stored.name)

            with pytest.raises(ObjectNotFound):
                await anext(source.batches(Span(0, stored.size)))

    async def test_of_many_are_listed_over_pages_of_cloudinary(self, backend, cloud, server, account):
        await put(backend)
        [asset] = list(cloud.assets.values())
        for number in range(1200):
            key = f"many/{number}"
            context = {**asset.context, "modelyard_key": key}
            copy = replace(asset, public_id=f"models/{key}", context=context)
            cloud.assets[copy.key] = copy
        server.reset()
        found = [stored.name.key for stored in await backend.page("models", "many/", "many/5", 20)]

        assert found == sorted(f"many/{number}" for number in range(1200) if str(number) > "5")[:20]
        assert server.seen("/resources/") == 3 + 3

    async def test_that_are_no_images_are_refused_under_the_name_of_one(self, backend, gone):
        with pytest.raises(NotAnImage):
            await put(backend, SMALL, draft("a.png"))
        assert gone()

    async def test_that_are_too_large_for_the_account_are_refused_by_name(self, server, tmp_path):
        async with cloudinary_backend(account_of(server, server.cloud(max_raw=100), scratch=tmp_path)) as backend:
            with pytest.raises(ObjectTooLarge, match="at most 100 bytes"):
                await put(backend)
        async with cloudinary_backend(account_of(server, server.cloud(quota=100), scratch=tmp_path)) as backend:
            with pytest.raises(BackendFull):
                await put(backend)
        assert server.seen(UPLOAD) == 2


async def test_two_accounts_live_in_one_process(server, tmp_path):
    """No call reads the SDK's configuration, of which a process has but one."""
    clouds = [server.cloud(), server.cloud()]
    async with AsyncExitStack() as stack:
        accounts = [account_of(server, cloud, scratch=tmp_path) for cloud in clouds]
        backends = [await stack.enter_async_context(cloudinary_backend(account)) for account in accounts]
        await asyncio.gather(*(put(backend, str(number).encode()) for number, backend in enumerate(backends)))

        assert [await get(backend, draft().name) for backend in backends] == [b"0", b"1"]
    assert cloudinary.config().cloud_name is None


async def test_a_backend_opens_though_cloudinary_is_away_and_its_probe_tells(server, account):
    with server.refusing():
        async with cloudinary_backend(account) as backend:
            with pytest.raises(BackendUnreachable, match="no connection to it can be made"):
                await backend.probe()


async def test_a_probe_tells_wrong_credentials_by_the_names_of_their_settings(server, account, cloud):
    """003.11"""
    for wrong in ({"api_secret": "x"}, {"api_key": "1"}, {"cloud_name": "other"}):
        async with cloudinary_backend(replace(account, **wrong)) as backend:
            with pytest.raises(BackendRefused, match="CLOUDINARY_API_KEY and CLOUDINARY_API_SECRET"):
                await backend.probe()
    async with cloudinary_backend(account) as backend:
        await backend.probe()
    assert cloud.admin_calls == 0  # the free plan has 500 of them an hour


async def test_the_account_tells_what_it_has_used(backend, cloud):
    """003.7, 000.41"""
    await get(backend, (await put(backend)).name)
    usage = await backend.account_usage()

    assert (usage.plan, usage.storage, usage.bandwidth) == ("Free", len(SMALL), len(SMALL))
    assert (usage.credits_limit, usage.largest_raw) == (25, cloud.max_raw)


async def test_slow_calls_do_not_hold_up_others(backend, server):
    with server.holding(UPLOAD):
        upload = asyncio.create_task(put(backend))
        async with asyncio.timeout(60):
            while not server.seen(UPLOAD):
                await asyncio.sleep(0.01)
            for _ in range(10):
                await asyncio.sleep(0.01)
        waits = not upload.done()
    await upload

    assert waits
    assert server.seen(UPLOAD) == 1


class TestSignedDownloads:
    async def test_work_until_they_expire_and_offer_the_file_name(self, backend):
        """000.25, 003.6"""
        kinds = [(key, access) for key in ("a/iris.csv", "p.png") for access in Access]
        files = [picture() if key == "p.png" else SMALL for key, _ in kinds]
        objects = [
            await put(backend, data, draft(f"{access}/{key}", access=access))
            for data, (key, access) in zip(files, kinds, strict=True)
        ]
        async with httpx.AsyncClient() as client:

            async def sign(end: datetime) -> list[str]:
                return [await backend.sign(stored, end) for stored in objects]

            async def read(addresses: list[str]) -> list[httpx.Response]:
                return [await client.get(address) for address in addresses]

            first, later = await early_and_late(sign, read)

        offered = "attachment; filename*=UTF-8''%D0%B4%D0%BE%D0%BC%201.csv"
        assert [answer.content for answer in first] == files
        assert {answer.headers["content-disposition"] for answer in first} == {offered}
        assert {answer.status_code for answer in later} == {401}

    async def test_open_no_other_object_and_live_no_longer_when_changed(self, backend):
        mine, other = await put(backend, what=draft("mine")), await put(backend, what=draft("other"))
        assert mine.name != other.name
        address = httpx.URL(await backend.sign(mine, datetime.now(UTC) + timedelta(hours=1)))
        changes = [
            {"public_id": "models/other"},
            {"expires_at": "9999999999"},
            {"signature": "0" * 40},
            {"type": "upload"},
        ]
        async with httpx.AsyncClient() as client:
            answers = [await client.get(address.copy_merge_params(change)) for change in changes]

        assert [answer.status_code for answer in answers] == [401] * 4


class TestTickets:
    """A client sends its bytes straight to Cloudinary."""

    @staticmethod
    async def send(ticket: Ticket, data: bytes = SMALL, **changed: str) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            form: Mapping[str, str] = {**ticket.fields, **changed}
            return await client.request(ticket.method, ticket.uri, data=form, files={"file": data})

    @staticmethod
    def soon() -> datetime:
        return datetime.now(UTC) + timedelta(minutes=5)

    @pytest.mark.parametrize("access", Access)
    @pytest.mark.parametrize("key", ["a/iris.csv", "p.png"])
    async def test_become_an_object_when_it_is_committed(self, backend, cloud, key, access):
        data, what = picture() if key == "p.png" else SMALL, full(key, access)
        sent = await self.send(await backend.direct.ticket(what, self.soon()), data)

        assert sent.status_code == 200
        assert await backend.page("models", "", "", 10) == []
        async with backend.direct.sent(what) as source:
            assert b"".join([piece async for batch in source.batches() for piece in batch]) == data
            stored = await source.commit(len(data), sha256(data))
        assert stored.draft == what
        assert await backend.stat(stored.name) == stored
        assert await get(backend, stored.name) == data
        assert len(cloud.assets) == 1

    async def test_leave_nothing_when_they_are_not_committed(self, backend, cloud):
        await self.send(await backend.direct.ticket(draft(), self.soon()))
        async with backend.direct.sent(draft()):
            assert len(cloud.assets) == 1

        assert cloud.assets == {}
        with pytest.raises(ObjectNotFound):
            async with backend.direct.sent(draft()):
                pass

    async def test_expire_and_cannot_be_changed(self, backend, cloud):
        expired = await backend.direct.ticket(draft(), datetime.now(UTC) - timedelta(seconds=1))
        good = await backend.direct.ticket(draft(), self.soon())

        assert (await self.send(expired)).status_code == 400
        for change in ({"public_id": "models/other"}, {"type": "upload"}, {"overwrite": "1"}, {"tags": "x"}):
            assert (await self.send(good, **change)).status_code == 401
        assert cloud.assets == {}

    async def test_are_used_once(self, backend):
        ticket = await backend.direct.ticket(draft(), self.soon())
        await self.send(ticket)

        assert (await self.send(ticket, b"other")).json()["existing"] is True
        async with backend.direct.sent(draft()) as source:
            await source.commit(len(SMALL), sha256(SMALL))
        with pytest.raises(ObjectExists):
            await backend.direct.ticket(draft(request_id="other"), self.soon())

    async def test_sent_for_a_key_that_was_taken_meanwhile_are_refused(self, backend, cloud):
        await self.send(await backend.direct.ticket(draft(), self.soon()))
        async with backend.direct.sent(draft()) as source:
            await put(backend, b"quicker", draft(request_id="other"))
            with pytest.raises(ObjectExists):
                await source.commit(len(SMALL), sha256(SMALL))

        assert await get(backend, draft().name) == b"quicker"
        assert len(cloud.assets) == 1

    async def test_replaced_after_they_were_read_are_refused(self, backend, cloud):
        ticket = await backend.direct.ticket(draft(), self.soon())
        await self.send(ticket)
        async with backend.direct.sent(draft()) as source:
            cloud.remove(next(iter(cloud.assets.values())), invalidate=True)
            await self.send(ticket, b"other")
            with pytest.raises(ChecksumMismatch):
                await source.commit(len(SMALL), sha256(SMALL))

        assert cloud.assets == {}

    async def test_are_committed_though_the_answer_is_lost(self, backend, server):
        await self.send(await backend.direct.ticket(draft(), self.soon()))
        server.cut_answer(path="/rename")
        async with backend.direct.sent(draft()) as source:
            stored = await source.commit(len(SMALL), sha256(SMALL))

        assert await backend.stat(draft().name) == stored
