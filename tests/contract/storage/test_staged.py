"""Bytes that are handed over by the disk are checked, published and cleaned up as those that are sent."""

import os
from pathlib import Path

import pytest
from grpc import StatusCode

from modelyard.storage.v1 import storage_pb2 as pb

DATA = bytes(range(256)) * 5_000


async def staged(store) -> Path:
    """A file that the service offers."""
    return Path((await store.stub.StageUpload(pb.StageUploadRequest(placement="datasets"), **store.within)).path)


def told(*counts: int) -> list[pb.UploadRequest]:
    """Messages that say how much is written."""
    return [pb.UploadRequest(staged=count) for count in counts]


@pytest.mark.parametrize("backend", ["local"], indirect=True)
class TestOnDisk:
    """Over the backend that keeps files."""

    async def test_what_is_written_is_stored(self, store, leftovers):
        path = await staged(store)
        path.write_bytes(DATA)
        header = store.header("a", staged_path=str(path))
        stored = await store.send([header, *told(1_000_000, len(DATA) - 1_000_000), store.trailer(DATA)])

        assert stored.size == len(DATA)
        assert await store.get("a") == DATA
        assert leftovers() == []

    async def test_the_file_may_be_written_while_it_is_taken_over(self, store):
        """Its writer's handle stays good, so that hashing goes along with writing."""
        path = await staged(store)
        with path.open("wb", buffering=0) as file:

            async def parts():
                yield store.header("a", staged_path=str(path))
                for start in range(0, len(DATA), 500_000):
                    file.write(DATA[start : start + 500_000])
                    yield pb.UploadRequest(staged=len(DATA[start : start + 500_000]))
                yield store.trailer(DATA)

            await store.stub.Upload(parts(), **store.within)

        assert await store.get("a") == DATA

    @pytest.mark.parametrize(("written", "counts"), [(DATA[:-1], (len(DATA),)), (DATA + b"!", (len(DATA),))])
    async def test_a_file_that_is_not_what_was_said(self, store, refused, leftovers, written, counts):
        path = await staged(store)
        path.write_bytes(written)
        with refused(StatusCode.DATA_LOSS):
            await store.send([store.header("a", staged_path=str(path)), *told(*counts), store.trailer(DATA)])

        assert await store.keys() == []
        assert leftovers() == []

    @pytest.mark.parametrize("named", ["/etc/passwd", "relative", "{incoming}/../.lock", "{incoming}/staged-x/bytes"])
    async def test_a_file_that_was_not_offered(self, store, refused, root, named):
        """A caller cannot make the service take over, or read, any file but one it offered."""
        path = named.format(incoming=root / ".incoming")
        with refused(StatusCode.INVALID_ARGUMENT):
            await store.send([store.header("a", staged_path=path), *told(1), store.trailer(b"x")])

        assert (root / ".lock").exists()
        assert await store.keys() == []

    @pytest.mark.parametrize("parts", [told(0), told(9 * 2**20), [pb.UploadRequest(chunk=b"sent")]])
    async def test_parts_that_do_not_belong(self, store, refused, leftovers, parts):
        path = await staged(store)
        with refused(StatusCode.INVALID_ARGUMENT):
            await store.send([store.header("a", staged_path=str(path)), *parts, store.trailer(b"sent")])

        assert leftovers() == []

    async def test_a_file_is_taken_once(self, store, refused):
        path = await staged(store)
        path.write_bytes(DATA)
        await store.send([store.header("a", staged_path=str(path)), *told(len(DATA)), store.trailer(DATA)])
        with refused(StatusCode.INVALID_ARGUMENT):
            await store.send([store.header("b", staged_path=str(path)), *told(len(DATA)), store.trailer(DATA)])

        assert await store.keys() == ["a"]

    async def test_a_file_that_nobody_came_back_for_goes(self, store, leftovers):
        path = await staged(store)
        os.utime(path.parent, (0, 0))
        other = await staged(store)

        assert not path.exists()
        assert other in leftovers()

    @pytest.mark.parametrize("offset", [0, 70_000])
    async def test_a_reader_is_told_where_the_bytes_are(self, store, offset):
        await store.put("a", DATA)
        request = pb.DownloadRequest(name=store.name("a"), offset=offset, by_path=True)
        header, sent = await store.read(request)
        read = Path(header.path).read_bytes()[header.offset : header.offset + header.length]

        assert sent == b""
        assert read == DATA[offset:]


@pytest.mark.parametrize("backend", ["memory"], indirect=True)
class TestInMemory:
    """Over a backend that keeps no files."""

    async def test_no_file_is_offered(self, store, refused):
        with refused(StatusCode.FAILED_PRECONDITION):
            await staged(store)

    async def test_the_bytes_are_sent(self, store):
        await store.put("a", DATA)
        header, sent = await store.read(pb.DownloadRequest(name=store.name("a"), by_path=True))

        assert header.path == ""
        assert sent == DATA
