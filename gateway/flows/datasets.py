"""Takes a dataset in, and lets it go."""

import hashlib
import re
import unicodedata
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import PurePosixPath

from grpc import StatusCode
from grpc.aio import AioRpcError

from gateway.flows.projects import check_project
from gateway.flows.storing import forget, named, store, store_large, take_away, whereabouts
from gateway.incoming import Incoming, aiter_of, chained, head_of
from gateway.peers import Peers
from gateway.rows import RowCounter
from modelyard.metadata.v1.artifact_pb2 import (
    Artifact,
    CreateArtifactRequest,
)
from modelyard.metadata.v1.dataset_pb2 import CreateDatasetRequest, Dataset, DeleteDatasetRequest, GetDatasetRequest
from modelyard.storage.v1.storage_pb2 import Object, ObjectName, UploadHeader, UploadTrailer
from modelyard.training.v1.analysis_pb2 import SniffTableRequest, SniffTableResponse
from modelyard.training.v1.training_pb2 import DatasetSource
from servicekit import errors

PLACEMENT = "datasets"
HEAD_BYTES = 960 * 1024
"""How much of a file's beginning is looked at before anything is stored."""
MOST_NAME_BYTES = 120
MOST_SNIFFED_BYTES = 1024 * 1024
FEWEST_ROWS = 4
ARCHIVE = "archive"
"""Kind of a dataset that is a zip of images."""


class TargetNotFound(errors.InvalidInput):
    """There is no column {target!r} in this file. Its columns are: {columns}."""

    field = "target_column"


class TooFewRows(errors.InvalidInput):
    """The file has {rows} data rows; a model needs at least 4. Add rows and send it again."""

    field = "file"


class KeyUsed(errors.AlreadyExists):
    """This Idempotency-Key came with another file before. Give every file a key of its own; a repeat sends the same
    file."""


class BytesChanged(errors.InvalidInput):
    """The file that arrived is not the one its digest was made of. Send it again, with the SHA-256 of its bytes."""

    field = "file"


@dataclass(frozen=True)
class Arrival:
    """A file on its way in: whose it is, under which ids, and what its beginning told."""

    user: str
    dataset_id: str
    artifact_id: str
    incoming: Incoming
    head: bytes
    complete: bool
    table: SniffTableResponse
    file_name: str
    """The name to keep: the sender's, without what a file system could stumble over."""
    name: ObjectName
    """Where its bytes go: another place with every attempt."""

    @property
    def is_archive(self) -> bool:
        """Whether it is an archive of images, of which no rows are known."""
        return self.table.kind == ARCHIVE


async def take_in(peers: Peers, user: str, incoming: Incoming, repeat_key: str = "") -> tuple[Dataset, bool]:
    """Store and record a dataset; also tells whether it is new.

    Whatever fails on the way, neither object nor record is left. A repeat under the same key answers with the first
    dataset; fails with KeyUsed when that was of another file.
    """
    dataset_id = id_for(user, "dataset", repeat_key)
    if repeat_key and (known := await find(peers, dataset_id)):
        _check_same(known, await _digest_of(incoming.chunks))
        return known, False
    arrival = await _look_at(peers, user, dataset_id, incoming, may_repeat=bool(repeat_key))
    async with AsyncExitStack() as undo:
        artifact = await _announce(peers, arrival)
        undo.push_async_callback(forget, peers, artifact)
        stored, rows = await _store(peers, arrival)
        dataset = await _record(peers, arrival, stored, rows)
        is_new = dataset.artifact_id == artifact.id  # else another attempt under the same key was first
        if is_new:
            undo.pop_all()
        else:
            _check_same(dataset, stored.sha256)
    return dataset, is_new


async def _digest_of(chunks: AsyncIterator[bytes]) -> str:
    """The SHA-256 of a whole stream, which is read to its end: a form's fields may follow its file."""
    digest = hashlib.sha256()
    async for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _check_same(known: Dataset, sha256: str) -> None:
    if known.sha256 != sha256:
        raise KeyUsed


async def find(peers: Peers, dataset_id: str) -> Dataset | None:
    """The dataset of an id; None when there is none."""
    try:
        return await peers.datasets.GetDataset(GetDatasetRequest(id=dataset_id), **peers.quick)
    except AioRpcError as error:
        if error.code() is StatusCode.NOT_FOUND:
            return None
        raise


async def _look_at(peers: Peers, user: str, dataset_id: str, incoming: Incoming, may_repeat: bool) -> Arrival:
    """See from a file's beginning whether it is a table at all, before anything is stored."""
    head, complete = await head_of(incoming.chunks, HEAD_BYTES)
    request = SniffTableRequest(head=head[:MOST_SNIFFED_BYTES], complete=complete and len(head) <= MOST_SNIFFED_BYTES)
    table = await peers.analysis.SniffTable(request, **peers.quick)
    artifact_id, file_name = uuid.uuid4().hex, safe_file_name(incoming.file_name)
    kept_as = f"{artifact_id[:8]}-{file_name}" if may_repeat else file_name  # else the dataset's id is new anyway
    name = await named(peers, PLACEMENT, user=user, dataset=dataset_id, file_name=kept_as)
    return Arrival(user, dataset_id, artifact_id, incoming, head, complete, table, file_name, name)


async def _announce(peers: Peers, arrival: Arrival) -> Artifact:
    artifact = Artifact(
        id=arrival.artifact_id,
        user_id=arrival.user,
        kind="dataset",
        placement=arrival.name.placement,
        key=arrival.name.key,
    )
    request = CreateArtifactRequest(artifact=artifact, request_id=artifact.id)
    return await peers.artifacts.CreateArtifact(request, **peers.quick)


async def _store(peers: Peers, arrival: Arrival) -> tuple[Object, int]:
    """The stored file, and its data rows; an archive has none."""
    chunks = chained(aiter_of(arrival.head), arrival.incoming.chunks)
    if arrival.is_archive:
        return await _send(peers, arrival, chunks), 0
    counter = RowCounter(arrival.table.format.encoding, arrival.table.format.delimiter)
    stored = await _send(peers, arrival, counter.watching(chunks))
    return stored, arrival.table.row_count if arrival.complete else counter.rows()


async def _send(peers: Peers, arrival: Arrival, chunks: AsyncIterator[bytes]) -> Object:
    header = UploadHeader(
        placement=arrival.name.placement,
        key=arrival.name.key,
        owner=arrival.user,
        content_type="application/zip" if arrival.is_archive else "text/csv",
        file_name=arrival.file_name,
        request_id=arrival.artifact_id,
    )
    digest = arrival.incoming.sha256
    send = store if arrival.complete else store_large
    try:
        return await send(peers, header, chunks, lambda size: UploadTrailer(size=size, sha256=digest))
    except AioRpcError as error:
        if error.code() is StatusCode.DATA_LOSS and digest:
            raise BytesChanged from error
        raise


async def _record(peers: Peers, arrival: Arrival, stored: Object, rows: int) -> Dataset:
    fields = arrival.incoming.fields
    columns = list(arrival.table.column_names)
    if rows < FEWEST_ROWS and not arrival.is_archive:
        raise TooFewRows(rows=rows)
    target = fields.get("target_column") or fields.get("target", "")
    if target and target not in columns and not arrival.is_archive:
        raise TargetNotFound(target=target, columns=", ".join(columns[:20]))
    await check_project(peers, arrival.user, fields.get("project_id", ""))
    dataset = Dataset(
        id=arrival.dataset_id,
        user_id=arrival.user,
        project_id=fields.get("project_id", ""),
        artifact_id=arrival.artifact_id,
        name=fields.get("name") or PurePosixPath(arrival.file_name).stem,
        file_name=arrival.file_name,
        row_count=rows,
        column_count=len(columns),
        kind=arrival.table.kind,
        column_names=columns,
        file_size=stored.size,
        sha256=stored.sha256,
        format=None if arrival.is_archive else arrival.table.format,
        target_column="" if arrival.is_archive else target,
        source=arrival.incoming.source,
        uri=arrival.incoming.uri,
        status="ready",
    )
    request = CreateDatasetRequest(
        dataset=dataset, request_id=dataset.id, artifact=whereabouts(arrival.artifact_id, stored)
    )
    return await peers.datasets.CreateDataset(request, **peers.quick)


async def let_go(peers: Peers, dataset: Dataset, artifact: Artifact) -> None:
    """Delete a dataset: its object first, then its records."""
    await take_away(peers, artifact.id)
    await peers.datasets.DeleteDataset(DeleteDatasetRequest(id=dataset.id, allow_missing=True), **peers.quick)


def source_of(dataset: Dataset, artifact: Artifact) -> DatasetSource:
    """A recorded dataset as the training service asks for it."""
    return DatasetSource(
        dataset_id=dataset.id,
        placement=artifact.placement,
        key=artifact.key,
        sha256=dataset.sha256,
        format=dataset.format if dataset.HasField("format") else None,
    )


def id_for(user: str, kind: str, repeat_key: str) -> str:
    """A new id, or, under a key that marks repeats, the same id for the same user, kind and key."""
    if not repeat_key:
        return uuid.uuid4().hex
    return uuid.uuid5(uuid.NAMESPACE_URL, f"modelyard:{kind}:{user}:{repeat_key}").hex


def safe_file_name(given: str) -> str:
    """A file name from outside as one path segment: no folders, no control characters, not too long."""
    name = unicodedata.normalize("NFC", given).replace("\\", "/").rpartition("/")[2]
    name = re.sub(r"[^\w .()+@-]", "_", name).strip(" .")
    stem, dot, suffix = (name or "data.csv").rpartition(".")
    if not dot:
        stem, suffix = suffix, "csv"
    while _stored_bytes(stem) > MOST_NAME_BYTES:
        stem = stem[:-1]
    return f"{stem}.{suffix[:10]}"


def _stored_bytes(name: str) -> int:
    """Bytes of a name at the most, where it is stored under plain letters: what is none of them takes three."""
    return len(name.encode()) + 2 * len(re.findall(r"[ ()+@]", name))
