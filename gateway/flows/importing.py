"""Takes in a dataset from elsewhere: from Kaggle, or from an address."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, urlsplit

from grpc.aio import UnaryStreamCall

from gateway.flows.datasets import KeyUsed, find, id_for, take_in
from gateway.incoming import FileTooLarge, Incoming
from gateway.peers import BYTES_SECONDS, Peers
from modelyard.metadata.v1.dataset_pb2 import Dataset
from modelyard.training.v1.analysis_pb2 import FetchDatasetRequest, FetchDatasetResponse, KaggleDataset

Call = UnaryStreamCall[FetchDatasetRequest, FetchDatasetResponse]
KAGGLE, URL = "kaggle", "url"


@dataclass(frozen=True)
class Wanted:
    """What to bring, and what the dataset is to be called; nothing of it is shown, since it may hold a secret."""

    source: Literal["kaggle", "url"]
    request: FetchDatasetRequest = field(repr=False)
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        """Where people find it, without what may be a secret: in an address all that follows its path."""
        if self.source == KAGGLE:
            return _page_of(self.request.kaggle)
        parts = urlsplit(self.request.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _page_of(named: KaggleDataset) -> str:
    version = f"/versions/{named.version}" if named.version else ""
    file = f"?select={quote(named.file, safe='')}" if named.file else ""
    return f"https://www.kaggle.com/datasets/{named.dataset}{version}{file}"


async def import_dataset(
    peers: Peers, user: str, wanted: Wanted, most_bytes: int, repeat_key: str = ""
) -> tuple[Dataset, bool]:
    """Fetch, store and record a dataset; also tells whether it is new.

    Whatever fails on the way, neither object nor record is left. A repeat under the same key answers with the first
    dataset, and fetches nothing; fails with KeyUsed when that came from another place. An address that was
    signed anew, which only its query shows, is the same place.
    """
    if repeat_key and (known := await find(peers, id_for(user, "dataset", repeat_key))):
        if (known.source, known.uri) != (wanted.source, wanted.uri):
            raise KeyUsed
        return known, False
    call: Call = peers.analysis.FetchDataset(wanted.request, **peers.within(BYTES_SECONDS))
    try:
        header = (await anext(aiter(call))).header
        if header.size > most_bytes:
            raise FileTooLarge(limit=most_bytes)
        chunks = _received(call, most_bytes)
        incoming = Incoming(header.file_name, chunks, wanted.fields, source=wanted.source, uri=wanted.uri)
        return await take_in(peers, user, incoming, repeat_key)
    finally:
        call.cancel()  # of no effect on a call that has ended


async def _received(call: Call, most_bytes: int) -> AsyncIterator[bytes]:
    total = 0
    async for message in call:
        total += len(message.chunk)
        if total > most_bytes:
            raise FileTooLarge(limit=most_bytes)
        yield message.chunk
