"""Files on their way in: streamed from the request as they come, never held whole, never spooled to disk."""

import base64
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from servicekit import errors
from servicekit.channels import CHUNK_BYTES

MAX_FIELD_BYTES = 10_000
FIELDS = (
    "name", "target", "target_column", "engine", "time_limit", "presets", "model_name", "seed", "test_fraction",
    "eval_metric", "project_id", "problem_type", "task_type", "workload", "parameters",
)  # fmt: skip
FILE_FIELDS = ("file", "folder_zip")
"""Either name holds the file; a folder comes as a zip."""
PASSED_OVER = ("user_id", "project_name")
"""Fields that pages send and that say nothing here: who asks is known by the key."""
MOST_UNKNOWN = 10
HOW = "Send multipart/form-data with a boundary"
ANOTHER_WAY = "Upload the file as a dataset, and ask for its training by JSON"


class FileMissing(errors.InvalidInput):
    """The form holds no file. Send it as the field `file`, with its file name."""

    field = "file"


class FormBroken(errors.InvalidInput):
    """The form cannot be read: {reason}."""


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
    unknown: list[str] = field(default_factory=list)
    """Names of fields that mean nothing here, the first few; complete when `fields` is."""
    sha256: str = ""
    """What the sender says of the file, to be verified; empty when they say nothing."""
    source: str = "upload"
    """Where it comes from: upload, kaggle or url."""
    uri: str = ""
    """Where people find it there."""


def media_of(content_type: str) -> str:
    """The media type that a header names, without its parameters; empty where it names none."""
    return content_type.partition(";")[0].strip().lower()


def packed_by(request: Request) -> str:
    """How the body of a request is packed, by its Content-Encoding; empty where it stands as it is."""
    coding = request.headers.get("content-encoding", "").strip().lower()
    return "" if coding == "identity" else coding


async def raw(request: Request, limit: int) -> Incoming:
    """The body of a request as a file; its name and fields come from the query."""
    query = dict(request.query_params)
    file_name = query.pop("file_name", "data.csv")
    return Incoming(file_name, _received(request, limit), query, sha256=_digest(request))


def _digest(request: Request) -> str:
    """The SHA-256 of a Repr-Digest or Content-Digest header (RFC 9530), hexadecimal; empty where there is none."""
    given = request.headers.get("repr-digest") or request.headers.get("content-digest", "")
    match = re.search(r"sha-256=:([A-Za-z0-9+/]{43}=):", given)
    return base64.b64decode(match[1]).hex() if match else ""


async def form(request: Request, limit: int) -> Incoming:
    """The file of a multipart form. Returns when the file begins; the rest of the form follows with its chunks."""
    parts = _Form(request.headers.get("content-type", ""))
    body = _received(request, limit + MAX_FIELD_BYTES * len(FIELDS))
    async for received in body:
        parts.feed(received)
        if parts.file_begun:
            break
    if not parts.file_begun:
        raise FileMissing
    return Incoming(parts.file_name or "data.csv", parts.file_bytes(body), parts.values, parts.unknown)


class _Form:
    """A multipart form (RFC 7578) as it comes: its fields, and what has come of its file since the last look."""

    def __init__(self, content_type: str) -> None:
        self.values: dict[str, str] = {}
        self.unknown: list[str] = []
        self.file_name = ""
        self.file_begun = self._file_ended = False
        self._found: list[bytes] = []
        self._header, self._told = bytearray(), bytearray()
        self._disposition, self._name, self._value = b"", "", bytearray()
        _, options = parse_options_header(content_type)
        if not options.get(b"boundary"):
            raise FormBroken(reason=f"its Content-Type names no boundary. {HOW}")
        with _broken():
            self._parser = MultipartParser(options[b"boundary"], {
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._told.extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_part,
                "on_part_data": lambda data, start, end: self._take(data[start:end]),
                "on_part_end": self._end_part,
            })  # fmt: skip

    def feed(self, received: bytes) -> None:
        """Read what was received."""
        with _broken():
            self._parser.write(received)

    async def file_bytes(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The file's bytes, those found already first."""
        for found in self._taken():
            yield found
        async for received in body:
            self.feed(received)
            for found in self._taken():
                yield found
        if not self._file_ended:
            raise CutOff

    def _taken(self) -> list[bytes]:
        found, self._found = self._found, []
        return found

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._told)
        self._header.clear()
        self._told.clear()

    def _begin_part(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name in FILE_FIELDS:
            if self.file_begun:
                raise FormBroken(reason="it holds more than one file. Send one; of a folder, a zip")
            self.file_begun = True
            self.file_name = options.get(b"filename", b"").decode("utf-8", "replace")
        elif self._name not in (*FIELDS, *PASSED_OVER) and len(self.unknown) < MOST_UNKNOWN:
            self.unknown.append(self._name[:100])
        self._disposition = b""

    def _take(self, data: bytes) -> None:
        if self._name in FILE_FIELDS:
            self._found.append(data)
        elif self._name in FIELDS:
            if len(self._value) + len(data) > MAX_FIELD_BYTES:
                raise FormBroken(reason=f"its field {self._name} is longer than {MAX_FIELD_BYTES} bytes. {ANOTHER_WAY}")
            self._value += data

    def _end_part(self) -> None:
        if self._name in FILE_FIELDS:
            self._file_ended = True
        elif self._value:
            if self._name in self.values:
                raise FormBroken(reason=f"it holds the field {self._name} more than once. Send it once")
            self.values[self._name] = self._value.decode("utf-8", "replace").strip()
        self._value.clear()


@contextmanager
def _broken() -> Iterator[None]:
    """Tell as FormBroken what the parser says."""
    try:
        yield
    except FormParserError as error:
        raise FormBroken(reason=f"{error}. {HOW}") from error


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
