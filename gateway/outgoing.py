"""Files on their way out: relayed from the storage service as they come, with ranges and entity tags."""

import base64
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from grpc import StatusCode
from grpc.aio import AioRpcError, UnaryStreamCall
from starlette.background import BackgroundTask
from starlette.types import Send
from typing_extensions import override

from gateway import handoff, problems
from gateway.handoff import Piece
from gateway.peers import BYTES_SECONDS, Peers
from gateway.sendfile import FileSlice, takes_slices
from modelyard.metadata.v1.artifact_pb2 import ARTIFACT_STATE_DELETED, Artifact, CountDownloadRequest
from modelyard.storage.v1.storage_pb2 import DownloadHeader, DownloadRequest, DownloadResponse, Object, ObjectName
from servicekit.disposition import attachment
from servicekit.logging import get_logger

log = get_logger()

Call = UnaryStreamCall[DownloadRequest, DownloadResponse]
COUNT_SECONDS = 5.0
"""How long the count of a download that has ended may take."""

FARTHEST = 2**62
"""Beyond the end of any object, and within 64 bits."""


async def send_recorded(request: Request, peers: Peers, artifact: Artifact, file_name: str = "") -> Response:
    """Answer with the object of an artifact; 410 once that is gone for good."""
    if artifact.state == ARTIFACT_STATE_DELETED:
        return gone(artifact)
    return await send(request, peers, ObjectName(placement=artifact.placement, key=artifact.key), file_name)


def gone(artifact: Artifact) -> Response:
    """What is answered where an artifact's object is asked for that is gone for good."""
    day = artifact.expire_time.ToJsonString()[:10] if artifact.HasField("expire_time") else ""
    what = f"expired on {day} and was deleted" if day else "was deleted"
    message = f"This file {what}. Make it again, by uploading or training, to have it back."
    return problems.problem(410, "FILE_GONE", message)


async def send(request: Request, peers: Peers, name: ObjectName, file_name: str = "") -> Response:
    """Answer with an object, or with the range of it that was asked for."""
    return await _answer(request, peers, DownloadRequest(name=name), file_name)


async def send_signed(request: Request, peers: Peers, token: str) -> Response:
    """Answer with the object that a signed address stands for; 410 once that is gone."""
    try:
        return await _answer(request, peers, DownloadRequest(token=token), "")
    except AioRpcError as error:
        if error.code() is not StatusCode.NOT_FOUND:
            raise
        message = "This file has expired or was deleted. Ask whoever gave you its address for another."
        return problems.problem(410, "FILE_GONE", message)


async def _answer(request: Request, peers: Peers, wanted: DownloadRequest, file_name: str) -> Response:
    asked = request.headers.get("range", "") if request.method == "GET" else ""
    condition = request.headers.get("if-range")
    ranged = condition is None and _apply_range(asked, wanted)
    header, chunks = await _open(peers, wanted, takes_slices(request.scope))
    if condition == _tag(header) and _apply_range(asked, wanted):  # what they have the beginning of has not changed
        ranged = True
        header, chunks = await _open(peers, wanted, takes_slices(request.scope))
    headers = _headers(header, file_name)
    if _names(request.headers.get("if-none-match", ""), headers["etag"]):
        return Response(status_code=304, headers={"etag": headers["etag"]})
    if request.method == "HEAD":
        return Response(headers=headers)
    if ranged:
        last = header.offset + header.length - 1
        headers["content-range"] = f"bytes {header.offset}-{last}/{header.object.size}"
        return _streamed(chunks, 206, headers)
    whole = _Whole(request, header.object)
    return _streamed(whole.watching(chunks), 200, headers, BackgroundTask(whole.count, peers))


class _Streamed(StreamingResponse):
    """A streamed answer that hands its parts to the server as they are, slices of files among them."""

    @override
    async def stream_response(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for piece in self.body_iterator:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _streamed(
    pieces: AsyncGenerator[Piece, None], status: int, headers: dict[str, str], after: BackgroundTask | None = None
) -> _Streamed:
    return _Streamed(cast(AsyncGenerator[bytes, None], pieces), status, headers, background=after)


@dataclass
class _Whole:
    """A download of a whole object, which counts once it has arrived."""

    request: Request
    stored: Object
    reached_end: bool = False
    last: Piece = b""

    async def watching(self, chunks: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
        """The same chunks; notes whether the last of them was sent to a caller who was still there."""
        left = self.stored.size
        self.reached_end = not left
        async with aclosing(chunks):
            async for chunk in chunks:
                left, self.last = left - len(chunk), chunk
                if not left:  # asked now, since a caller who has all of it may leave at once
                    self.reached_end = not await self.request.is_disconnected()
                yield chunk

    async def count(self, peers: Peers) -> None:
        """Count the download, after its answer has ended; what cannot be counted has arrived all the same."""
        if not self.reached_end or (isinstance(self.last, FileSlice) and not await self.last.finished()):
            return
        request = CountDownloadRequest(placement=self.stored.placement, key=self.stored.key)
        try:
            await peers.artifacts.CountDownload(request, **peers.within(COUNT_SECONDS))
        except AioRpcError as error:
            log.info("download not counted", code=error.code().name, placement=request.placement)


async def _open(
    peers: Peers, wanted: DownloadRequest, by_slices: bool
) -> tuple[DownloadHeader, AsyncGenerator[Piece, None]]:
    """An object's header and its bytes: out of its file where we can read that, relayed otherwise."""
    wanted.by_path = True
    call = peers.storage.Download(wanted, **peers.within(BYTES_SECONDS))
    header = (await anext(aiter(call))).header
    if header.path and (chunks := handoff.opened(header, by_slices)):
        return header, chunks
    if header.path:
        wanted.by_path = False
        call = peers.storage.Download(wanted, **peers.within(BYTES_SECONDS))
        header = (await anext(aiter(call))).header
    return header, _relay(call)


async def _relay(call: Call) -> AsyncGenerator[Piece, None]:
    try:
        async for message in call:
            yield message.chunk
    finally:
        call.cancel()  # of no effect on a call that has ended; a client that left ends ours


def _apply_range(given: str, wanted: DownloadRequest) -> bool:
    """Put the asked range into the request; whether there is one. What is no single range is ignored (RFC 9110)."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", given.strip())
    if not match or match.groups() == ("", ""):
        return False
    first, last = (min(int(text), FARTHEST) if text else None for text in match.groups())
    if first is None:
        wanted.offset = -(last or 0) or FARTHEST  # the last 0 bytes begin beyond the end
    elif last is None or last >= first:
        wanted.offset = first
        wanted.length = last - first + 1 if last is not None else 0
    else:
        return False
    return True


def _tag(header: DownloadHeader) -> str:
    return f'"{header.object.sha256}"'


def _names(given: str, tag: str) -> bool:
    """Whether an If-None-Match names a tag, among others or with all."""
    return given.strip() == "*" or tag in (each.strip().removeprefix("W/") for each in given.split(","))


def _headers(header: DownloadHeader, file_name: str) -> dict[str, str]:
    stored: Object = header.object
    name = file_name or stored.file_name
    return {
        # Not everyone who stores says what a header can hold.
        "content-type": stored.content_type if stored.content_type.isascii() else "application/octet-stream",
        "content-length": str(header.length),
        "accept-ranges": "bytes",
        "etag": _tag(header),
        # Of the whole object, for the reader to verify what came (RFC 9530).
        "repr-digest": f"sha-256=:{base64.b64encode(bytes.fromhex(stored.sha256)).decode()}:",
        "content-disposition": attachment(name),
        # What a user stored is never run as a page of this site.
        "x-content-type-options": "nosniff",
    }
