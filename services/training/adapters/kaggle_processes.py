"""Brings datasets from Kaggle, by its own client in a process of its own: that client blocks, prints and exits."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from servicekit.logging import get_logger
from servicekit.scratch import scratch_folder
from services.training.adapters.conversing import Conversation, conversing
from services.training.adapters.processes import environment, tail_of, without_answer
from services.training.domain.elsewhere import (
    Arrival,
    CredentialsMissing,
    CredentialsRefused,
    Fetched,
    KaggleCredentials,
    KaggleDown,
    KaggleWish,
)
from services.training.domain.messages import KaggleTask, Refusal, decode, encode

log = get_logger()

BATCH_BYTES = 1024 * 1024
# Kaggle's client waits forever for an answer.
SILENCE_SECONDS = 60.0
# How this machine reaches the internet, which no other worker has to know.
NETWORK = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class KaggleProcesses:
    """Implements KaggleDatasets with a worker process a download, which writes to a temporary folder."""

    def __init__(self, workloads: str, root: Path, credentials: KaggleCredentials, limit_bytes: int, url: str) -> None:
        """`credentials` are used where a call brings none; `url` is where Kaggle's API is, its own place when empty."""
        self._workloads = workloads
        self._root = root
        self._credentials = credentials
        self._limit_bytes = limit_bytes
        self._url = url

    @asynccontextmanager
    async def open(self, wish: KaggleWish, credentials: KaggleCredentials | None) -> AsyncIterator[Arrival]:
        """A file for the block; the port says what it raises."""
        shown = credentials or self._credentials
        if not shown.complete:
            raise CredentialsMissing
        if not shown.plausible:
            raise CredentialsRefused
        async with scratch_folder(self._root, f"kaggle_{wish.name}_") as folder:
            fetched = await self._download(KaggleTask(wish, self._limit_bytes, self._url), shown, folder)
            with await asyncio.to_thread((folder / "dataset").open, "rb") as file:
                yield Arrival(fetched.file_name, fetched.size, _chunks_of(file))

    async def _download(self, task: KaggleTask, credentials: KaggleCredentials, folder: Path) -> Fetched:
        network = {name: value for name, value in os.environ.items() if name.upper() in NETWORK}
        async with conversing(task, self._workloads, folder, environment(folder, 1) | network) as talk:
            talk.writer.write(encode(credentials))
            line = await _line_of(talk, folder)
            if not line.endswith(b"\n"):
                failure = without_answer(await talk.child.exit_code())
                tail = await asyncio.to_thread(tail_of, folder / "worker.log")
                log.error("download failed", dataset=task.wish.dataset, reason=str(failure), tail=tail)
                raise failure
        message = decode(line)
        if isinstance(message, Refusal):
            raise message.as_problem()
        if not isinstance(message, Fetched):
            raise TypeError(f"{type(message).__name__} is no answer to a download")
        return message


async def _line_of(talk: Conversation, folder: Path) -> bytes:
    """What the worker says in the end; raises KaggleDown when for a while it neither speaks nor writes."""
    written = -1
    while True:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                return await talk.reader.readline()
        except TimeoutError:
            before, written = written, await asyncio.to_thread(_bytes_in, folder)
            if written == before:
                raise KaggleDown(trouble=f"nothing came for {SILENCE_SECONDS:g} seconds") from None


def _bytes_in(folder: Path) -> int:
    size = 0
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # a file that the worker has just removed or renamed
            size += path.stat().st_size
    return size


async def _chunks_of(file: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(file.read, BATCH_BYTES):
        yield chunk
