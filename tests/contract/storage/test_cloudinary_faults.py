"""What the Cloudinary backend does when Cloudinary fails, or its caller gives up."""

import asyncio
import errno
import io
import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from servicekit.errors import Problem
from services.storage.adapters.cloudinary import pending
from services.storage.adapters.cloudinary.backend import CloudinaryBackend, cloudinary_backend
from services.storage.adapters.cloudinary.errors import ScratchFull
from services.storage.domain.errors import (
    BackendBusy,
    BackendRefused,
    BackendUnreachable,
    ObjectExists,
    ObjectNotFound,
)
from services.storage.domain.model import StoredObject
from tests.servers.cloudinary.fixtures import (  # noqa: F401 — fixtures work where they are imported
    HASTY_CALLS,
    HASTY_UPLOADS,
    LARGE,
    PATIENT,
    SMALL,
    UPLOAD,
    account_fixture,
    backend_fixture,
    cloud_fixture,
    draft,
    get,
    gone_fixture,
    hasty,
    put,
    running_fixture,
    server_fixture,
)

FAULTS = {
    "401": (lambda server: server.fail(401, 99, UPLOAD), BackendRefused, 1),
    "420": (lambda server: server.fail(420, 99, UPLOAD), BackendBusy, 3),
    "429": (lambda server: server.fail(429, 99, UPLOAD), BackendBusy, 3),
    "500": (lambda server: server.fail(500, 99, UPLOAD), BackendUnreachable, 3),
    "502 HTML": (lambda server: server.fail(502, 99, UPLOAD), BackendUnreachable, 3),
    "503": (lambda server: server.fail(503, 99, UPLOAD), BackendUnreachable, 3),
    "hangs": (lambda server: server.hang(99, UPLOAD), BackendUnreachable, 3),
    "cut": (lambda server: server.cut_request(200, 99, UPLOAD), BackendUnreachable, 3),
}


def each_of(*faults: str) -> pytest.MarkDecorator:
    given = [(fault, HASTY_UPLOADS if fault == "hangs" else PATIENT) for fault in faults]
    return pytest.mark.parametrize(("fault", "account"), given, ids=faults, indirect=["account"])


class TestFailures:
    @each_of(*FAULTS)
    async def test_of_an_upload_leave_nothing_and_are_tried_a_few_times(self, backend, server, gone, fault):
        fail, kind, tries = FAULTS[fault]
        fail(server)

        with pytest.raises(kind):
            await put(backend)
        assert server.seen(UPLOAD) == tries
        assert len(server.faults.seen) <= 12
        assert gone()
        server.faults.clear()
        await put(backend)

    @each_of("500", "cut", "hangs")
    async def test_in_the_middle_of_a_large_upload_leave_nothing(self, backend, server, gone, fault):
        server.go_well(path=UPLOAD)
        FAULTS[fault][0](server)

        with pytest.raises(BackendUnreachable):
            await put(backend, LARGE)
        assert gone()

    @pytest.mark.parametrize("status", [420, 429, 500, 502, 503])
    async def test_that_pass_are_not_noticed(self, backend, server, status):
        server.fail(status, 1)
        server.fail(status, 1, UPLOAD)
        stored = await put(backend, LARGE)

        server.fail(status, 1)
        assert await backend.stat(stored.name) == stored
        server.fail(status, 1, "/v")
        assert await get(backend, stored.name) == LARGE

    @pytest.mark.parametrize(("data", "part", "times"), [(SMALL, 0, 1), (SMALL, 0, 99), (LARGE, 0, 1), (LARGE, 2, 99)])
    async def test_of_the_answer_alone_are_seen_through(self, backend, server, cloud, data, part, times):
        """The upload is recognised: it is not made twice, and not taken for another's."""
        server.go_well(part, UPLOAD)
        server.cut_answer(0, times, UPLOAD)
        stored = await put(backend, data)

        assert await backend.stat(stored.name) == stored
        assert len(cloud.assets) == 1
        assert await get(backend, stored.name) == data

    async def test_of_the_answer_do_not_make_anothers_object_ours(self, backend, server):
        first = await put(backend, b"first")
        server.cut_answer(0, 1, UPLOAD)

        with pytest.raises(ObjectExists):
            await put(backend, b"second")
        assert await backend.stat(first.name) == first

    @pytest.mark.parametrize("after", [0, 1, 1_000_000])
    async def test_in_the_middle_of_a_download_are_mended_or_told(self, backend, server, cloud, after):
        stored = await put(backend, LARGE)
        at = f"^/{cloud.name}/raw"
        server.cut_answer(after, 2, at)

        assert await get(backend, stored.name) == LARGE
        server.reset()
        server.cut_answer(after, 99, at)
        with pytest.raises(BackendUnreachable, match="broke off"):
            await get(backend, stored.name)
        assert server.seen(f"/{cloud.name}/raw") == 3

    async def test_of_the_delivery_are_told_by_name(self, backend, server, cloud):
        stored = await put(backend)
        at = f"^/{cloud.name}/raw"
        for status, kind in ((401, BackendRefused), (420, BackendBusy), (500, BackendUnreachable)):
            server.faults.clear()
            server.fail(status, 99, at)
            with pytest.raises(kind):
                await get(backend, stored.name)

    @hasty(HASTY_CALLS)
    async def test_to_deliver_anything_are_told(self, backend, server, cloud):
        stored = await put(backend)
        server.hang(99, f"^/{cloud.name}/raw")
        with pytest.raises(BackendUnreachable, match="in time"):
            await get(backend, stored.name)

    async def test_to_connect_are_told_by_every_method(self, backend, server, gone):
        name = draft().name
        with server.refusing():
            for call in (
                lambda: put(backend),
                lambda: backend.stat(name),
                lambda: backend.page("models", "", "", 1),
                lambda: backend.delete(name),
                lambda: backend.direct.ticket(draft(), datetime.now(UTC)),
                backend.account_usage,
            ):
                with pytest.raises(BackendUnreachable, match="no connection"):
                    await call()
        assert gone()

    async def test_of_a_deletion_s_answer_count_it_once(self, backend, server, cloud):
        stored = await put(backend)
        server.cut_answer(0, 1, "/destroy")

        assert await backend.delete(stored.name) == len(SMALL)
        assert cloud.assets == {}
        with pytest.raises(ObjectNotFound):
            await backend.delete(stored.name)

    async def test_of_the_scratch_folder_are_told_as_a_full_disk(self, backend, gone, monkeypatch):
        class FullFile(io.BytesIO):
            def write(self, data: object) -> int:
                raise OSError(errno.ENOSPC, "No space left on device")

            def writelines(self, lines: object) -> None:
                self.write(b"")

        monkeypatch.setattr(pending.tempfile, "SpooledTemporaryFile", lambda *_, **__: FullFile())
        with pytest.raises(ScratchFull):
            await put(backend)
        assert gone()


class TestGivingUp:
    """Whoever gives up an upload leaves nothing behind, whenever it is."""

    async def test_before_it_is_sent(self, backend, server, gone):
        async with backend.create(draft()) as pending:
            await pending.write([LARGE])

        assert gone()
        assert server.faults.seen == []

    @hasty(HASTY_UPLOADS)
    async def test_while_cloudinary_does_not_answer(self, backend, server, gone):
        server.hang(99, UPLOAD)
        upload = await self.given_up(backend, lambda: server.seen(UPLOAD))
        with pytest.raises(asyncio.CancelledError):
            await upload

        assert gone()

    async def test_while_the_answer_is_on_its_way(self, backend, server, gone, cloud):
        with server.holding(UPLOAD):
            upload = await self.given_up(backend, lambda: cloud.assets)
        with pytest.raises(asyncio.CancelledError):
            await upload

        assert gone()

    async def test_though_it_is_hard_to_learn_what_became_of_it(self, backend, server, gone, cloud):
        """One answer that is lost leaves nothing that everybody sees."""
        with server.holding(UPLOAD):
            upload = await self.given_up(backend, lambda: cloud.assets)
            server.cut_answer(path="/resources/")
        with pytest.raises(asyncio.CancelledError):
            await upload

        assert gone()

    @hasty(HASTY_UPLOADS)
    async def test_between_the_parts(self, backend, server, gone):
        server.go_well(path=UPLOAD)
        server.hang(99, UPLOAD)
        upload = await self.given_up(backend, lambda: server.seen(UPLOAD) >= 2, LARGE)
        with pytest.raises(asyncio.CancelledError):
            await upload

        assert gone()

    @staticmethod
    async def given_up(
        backend: CloudinaryBackend, at: Callable[[], object], data: bytes = SMALL
    ) -> "asyncio.Task[StoredObject]":
        upload = asyncio.create_task(put(backend, data))
        while not at():
            await asyncio.sleep(0.01)
        upload.cancel()
        return upload


async def test_no_secret_is_told_to_anybody(server, cloud, account, caplog, capfd):
    """000.24, 000.27: not in a repr, not in an error or its traceback, not in any library's most talkative log."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "urllib3", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    texts = [repr(account)]
    async with cloudinary_backend(account) as backend:
        texts.append(repr(vars(backend)))
        stored = await put(backend, LARGE)
        await get(backend, stored.name)
        signed = [await backend.sign(stored, datetime.now(UTC) + timedelta(hours=1))]
        read = partial(get, backend)
        ticket = await backend.direct.ticket(draft("b"), datetime.now(UTC) + timedelta(hours=1))
        for status in (401, 502):
            for path, call in (("/resources", backend.stat), ("/destroy", backend.delete), (f"^/{cloud.name}/", read)):
                server.faults.clear()
                server.fail(status, 99, path)
                texts += await told(call(stored.name))
        server.faults.clear()
    async with cloudinary_backend(replace(account, api_secret="another secret")) as backend:
        texts += await told(put(backend, what=draft("c")))
    texts += [caplog.text, *capfd.readouterr()]
    secrets = [cloud.secret, "another secret", cloud.key, ticket.fields["signature"], "s--", "signature="]

    assert all(signed)
    assert "urllib3" in caplog.text
    for secret in secrets:
        assert not [text for text in texts if secret in text], secret


async def told(call) -> list[str]:
    try:
        await call
    except Problem as problem:
        return [problem.message, repr(problem), "".join(traceback.format_exception(problem))]
    return []


@hasty(HASTY_CALLS)
async def test_time_is_not_lost_on_a_hanging_cloudinary(backend, server):
    server.hang(99)
    started = time.monotonic()

    with pytest.raises(BackendUnreachable):
        await backend.stat(draft().name)
    assert time.monotonic() - started < 30
    assert server.seen() == 3
