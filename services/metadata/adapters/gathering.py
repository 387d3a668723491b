"""Reads together what is asked for at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any, Generic, TypeVar

V = TypeVar("V")
MOST_TOGETHER = 200


class Gathered(Generic[V]):
    """Answers each question with the next read, and all that came meanwhile with the same one.

    A question is never answered by a read that began before it was asked, so whoever has written reads what was
    written. Alone it is as quick as a read; among many, the cost of reading is shared.
    """

    def __init__(self, read: Callable[[Collection[str]], Awaitable[dict[str, V]]]) -> None:
        self._read = read
        self._asked: dict[str, asyncio.Future[V | None]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def get(self, key: str) -> V | None:
        """The value of a key, or None."""
        if key not in self._asked:
            self._asked[key] = asyncio.get_running_loop().create_future()
        answer = self._asked[key]
        if self._reading is None:
            self._reading = asyncio.create_task(self._answer())
        return await asyncio.shield(answer)  # others may wait for the same

    async def _answer(self) -> None:
        try:
            while self._asked:
                keys = list(self._asked)[:MOST_TOGETHER]
                await self._answer_some({key: self._asked.pop(key) for key in keys})
        finally:
            self._reading = None

    async def _answer_some(self, asked: "dict[str, asyncio.Future[V | None]]") -> None:
        try:
            found = await self._read(asked.keys())
        except Exception as error:  # noqa: BLE001 (it is the answer to all of them)
            for answer in asked.values():
                answer.set_exception(error)
        else:
            for key, answer in asked.items():
                answer.set_result(found.get(key))


class GatheredRecords:
    """Records by their ids, those of one kind that are asked for at the same time read together."""

    def __init__(self, read: Callable[[type[Any], Collection[str]], Awaitable[dict[str, Any]]]) -> None:
        self._read = read
        self._by_kind: dict[type[Any], Gathered[Any]] = {}

    async def get(self, kind: type[V], record_id: str) -> V | None:
        """The record of this id, or None."""
        if kind not in self._by_kind:
            self._by_kind[kind] = Gathered(partial(self._read, kind))
        record: V | None = await self._by_kind[kind].get(record_id)
        return record
