"""Files on their way in: streamed from the request as they come, never held whole, never spooled to disk."""

import base64
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from fastapi import Request
from starlette.requests import ClientDisconnect
from streaming_form_data import ParseFailedException, StreamingFormDataParser
from streaming_form_data.targets import BaseTarget, ValueTarget

from servicekit import errors
from servicekit.channels import CHUNK_BYTES

MAX_FIELD_BYTES = 10_000
FIELDS = (
    "name", "target", "target_column", "engine", "time_limit", "presets", "model_name", "seed", "test_fraction",
    "eval_metric", "project_id", "problem_type", "task_type", "workload", "parameters",
)  # fmt: skip
FILE_FIELDS = ("file", "folder_zip")
"""Either name holds the file; a folder comes as a zip."""


class FileMissing(errors.InvalidInput):
    """The form holds no file. Send it as the field `file`, with its file name."""

    field = "file"


class FormBroken(errors.InvalidInput):
    """The form cannot be read ({reason}). Send multipart/form-data with a boundary."""


class FileTooLarge(errors.InvalidInput):
    """The file is larger than {limit} bytes, the most this gateway takes. GATEWAY_MAX_UPLOAD_BYTES changes it."""

    field = "file"


class CutOff(errors.InvalidInput):
    """The upload ended before the file did. Send it again."""


@dataclass
class Incoming:
    """A file that arrives, and the fields of the form it arrives in.

    `fields` is complete only after the last chunk: a form may put them after the file.
    """

    file_name: str
    chunks: AsyncIterator[bytes]
    fields: dict[str, str] = field(default_factory=dict)
    sha256: str = ""
    """What the sender says of the file, to be verified; empty when they say nothing."""
    source: str = "upload"
    """Where it comes from: upload, kaggle or url."""
    uri: str = ""
    """Where people find it there."""


async def raw(request: Request, limit: int) -> Incoming:
    """The body of a request as a file; its name and fields come from the query."""
    query = dict(request.query_params)
    file_name = query.pop("file_name", "data.csv")
    return Incoming(file_name, _received(request, limit), query, _digest(request))


def _digest(request: Request) -> str:
    """The SHA-256 of a Repr-Digest or Content-Digest header (RFC 9530), hexadecimal; empty where there is none."""
    given = request.headers.get("repr-digest") or request.headers.get("content-digest", "")
    match = re.search(r"sha-256=:([A-Za-z0-9+/]{43}=):", given)
    return base64.b64decode(match[1]).hex() if match else ""


async def form(request: Request, limit: int) -> Incoming:
    """The file of a multipart form. Returns when the file begins; the rest of the form follows with its chunks."""
    parts = _Form(request)
    body = _received(request, limit + MAX_FIELD_BYTES * len(FIELDS))
    async for received in body:
        parts.feed(received)
        if parts.file.started:
            break
    if not parts.file.started:
        raise FileMissing
    incoming = Incoming(parts.file.multipart_filename or "data.csv", aiter_of(), parts.values)
    incoming.chunks = parts.file_bytes(body)
    return incoming


class _File(BaseTarget):
    """Collects what the parser finds of the file since the last look."""

    def __init__(self) -> None:
        super().__init__()
        self.started = False
        self.found: list[bytes] = []

    def on_start(self) -> None:
        if self.started:
            raise FormBroken(reason="it holds more than one file")
        self.started = True

    @property
    def finished(self) -> bool:
        """Whether the boundary after it was seen."""
        return bool(self._finished)

    def on_data_received(self, chunk: bytes) -> None:
        self.found.append(chunk)

    def take(self) -> list[bytes]:
        """What was found since the last call."""
        found, self.found = self.found, []
        return found


class _Short(ValueTarget):
    """A field that holds a word, not a book."""

    def on_data_received(self, chunk: bytes) -> None:
        if sum(map(len, self._values)) + len(chunk) > MAX_FIELD_BYTES:
            raise FormBroken(reason=f"a field is longer than {MAX_FIELD_BYTES} bytes")
        super().on_data_received(chunk)


class _Form:
    def __init__(self, request: Request) -> None:
        try:
            self._parser = StreamingFormDataParser(headers=request.headers)
        except ParseFailedException as error:
            raise FormBroken(reason=str(error)) from error
        self.file = _File()
        self.values: dict[str, str] = {}
        self._targets = {name: _Short() for name in FIELDS}
        for name in FILE_FIELDS:
            self._parser.register(name, self.file)
        for name, target in self._targets.items():
            self._parser.register(name, target)

    def feed(self, received: bytes) -> None:
        """Parse what was received, and note the fields that are there by now."""
        try:
            self._parser.data_received(received)
        except ParseFailedException as error:
            raise FormBroken(reason=str(error)) from error
        for name, target in self._targets.items():
            if target.value:
                self.values[name] = target.value.decode("utf-8", "replace").strip()

    async def file_bytes(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The file's bytes, those found already first."""
        for found in self.file.take():
            yield found
        async for received in body:
            self.feed(received)
            for found in self.file.take():
                yield found
        if not self.file.finished:
            raise CutOff


async def _received(request: Request, limit: int) -> AsyncIterator[bytes]:
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limit:  # said before the first byte is waited for
        raise FileTooLarge(limit=limit)
    total = 0
    try:
        async for received in request.stream():
            total += len(received)
            if total > limit:
                raise FileTooLarge(limit=limit)
            yield received
    except ClientDisconnect as error:
        raise CutOff from error


async def regrouped(pieces: AsyncIterator[bytes], size: int = CHUNK_BYTES) -> AsyncIterator[bytes]:
    """The same bytes in chunks of one size; the last may be shorter. Few large messages travel faster than many."""
    held: list[bytes] = []
    length = 0
    async for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length >= size:
            joined = b"".join(held)
            whole = length - length % size
            for start in range(0, whole, size):
                yield joined[start : start + size]
            held, length = [joined[whole:]], length - whole
    if length:
        yield b"".join(held)


async def aiter_of(*chunks: bytes) -> AsyncIterator[bytes]:
    """Chunks that are here already, as a stream."""
    for chunk in chunks:
        yield chunk


async def chained(*streams: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """One stream after the other."""
    for stream in streams:
        async for chunk in stream:
            yield chunk


async def head_of(chunks: AsyncIterator[bytes], size: int) -> tuple[bytes, bool]:
    """The first bytes of a stream, at least `size` unless it ends before, and whether they are all there is."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        if len(held) >= size:
            return bytes(held), False
    return bytes(held), True
