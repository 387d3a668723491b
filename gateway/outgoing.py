"""Files on their way out: relayed from the storage service as they come, with ranges and entity tags."""

import base64
import re
from collections.abc import AsyncIterator
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from grpc.aio import UnaryStreamCall

from gateway import handoff
from gateway.peers import BYTES_SECONDS, Peers
from modelyard.storage.v1.storage_pb2 import DownloadHeader, DownloadRequest, DownloadResponse, Object, ObjectName
from servicekit import errors

Call = UnaryStreamCall[DownloadRequest, DownloadResponse]


class RangeUnclear(errors.InvalidInput):
    """The Range header {given!r} cannot be read. Ask for one range of bytes, as in `bytes=0-99`."""


async def send(request: Request, peers: Peers, name: ObjectName, file_name: str = "") -> Response:
    """Answer with an object, or with the range of it that was asked for."""
    return await _answer(request, peers, DownloadRequest(name=name), file_name)


async def send_signed(request: Request, peers: Peers, token: str) -> Response:
    """Answer with the object that a signed address stands for."""
    return await _answer(request, peers, DownloadRequest(token=token), "")


async def _answer(request: Request, peers: Peers, wanted: DownloadRequest, file_name: str) -> Response:
    ranged = _apply_range(request.headers.get("range", ""), wanted)
    header, chunks = await _open(peers, wanted)
    headers = _headers(header, file_name)
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers={"etag": headers["etag"]})
    if request.method == "HEAD":
        return Response(headers=headers)
    if ranged:
        last = header.offset + header.length - 1
        headers["content-range"] = f"bytes {header.offset}-{last}/{header.object.size}"
    return StreamingResponse(chunks, 206 if ranged else 200, headers)


async def _open(peers: Peers, wanted: DownloadRequest) -> tuple[DownloadHeader, AsyncIterator[bytes]]:
    """An object's header and its bytes: out of its file where we can read that, relayed otherwise."""
    wanted.by_path = True
    call = peers.storage.Download(wanted, **peers.within(BYTES_SECONDS))
    header = (await anext(aiter(call))).header
    if header.path and (chunks := handoff.opened(header)):
        return header, chunks
    if header.path:
        wanted.by_path = False
        call = peers.storage.Download(wanted, **peers.within(BYTES_SECONDS))
        header = (await anext(aiter(call))).header
    return header, _relay(call)


async def _relay(call: Call) -> AsyncIterator[bytes]:
    try:
        async for message in call:
            yield message.chunk
    finally:
        call.cancel()  # of no effect on a call that has ended; a client that left ends ours


def _apply_range(given: str, wanted: DownloadRequest) -> bool:
    """Put the asked range into the request; whether there is one."""
    if not given:
        return False
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", given.strip())
    if not match or match.groups() == ("", ""):
        raise RangeUnclear(given=given)
    first, last = match.groups()
    if not first:
        wanted.offset = -int(last)
        return True
    wanted.offset = int(first)
    if last:
        if int(last) < int(first):
            raise RangeUnclear(given=given)
        wanted.length = int(last) - int(first) + 1
    return True


def _headers(header: DownloadHeader, file_name: str) -> dict[str, str]:
    stored: Object = header.object
    name = file_name or stored.file_name
    return {
        "content-type": stored.content_type,
        "content-length": str(header.length),
        "accept-ranges": "bytes",
        "etag": f'"{stored.sha256}"',
        # Of the whole object, for the reader to verify what came (RFC 9530).
        "repr-digest": f"sha-256=:{base64.b64encode(bytes.fromhex(stored.sha256)).decode()}:",
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        # What a user stored is never run as a page of this site.
        "x-content-type-options": "nosniff",
    }
