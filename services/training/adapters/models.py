"""Loads packaged models, each in a process of its own that waits for rows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

from servicekit.logging import get_logger
from services.training.adapters.arriving import BROKEN_OFF, END, announced
from services.training.adapters.child import Child
from services.training.adapters.conversing import conversing
from services.training.adapters.limits import readable
from services.training.adapters.processes import SOON_ASLEEP, Home, tail_of, without_answer
from services.training.domain.answers import Answers, AnswersHeader, Loaded, RowsHeader
from services.training.domain.errors import ModelTooLarge
from services.training.domain.messages import Message, Refusal, ServeTask, WorkerBroke, WorkerDied, decode, encode
from services.training.domain.shortage import tells_of_short_memory

log = get_logger()


class ModelProcesses:
    """Implements ModelHost with `python -m services.training.worker`, confined as a training is."""

    def __init__(self, home: Home, memory_bytes: int) -> None:
        self._home = home
        self._task = ServeTask(memory_bytes)

    @asynccontextmanager
    async def load(self, folder: Path) -> AsyncIterator["ModelProcess"]:
        """The model of `folder / "package.zip"`; the port says what it raises."""
        # A model has hundreds of trees, and sleeping after each takes longer than some of them do.
        surroundings = self._home.environment(folder, SOON_ASLEEP)
        async with conversing(self._task, self._home.workloads, folder, surroundings) as talk:
            model = ModelProcess(talk.child, talk.reader, talk.writer, folder)
            await model.loaded(self._task.memory_bytes)
            yield model


class ModelProcess:
    """Implements WarmModel."""

    def __init__(self, child: Child, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, folder: Path) -> None:
        self._child = child
        self._reader = reader
        self._writer = writer
        self._folder = folder
        self._listens = True

    @property
    def alive(self) -> bool:
        """Whether it can answer."""
        return self._listens and not self._child.ended

    async def loaded(self, memory_bytes: int = 0) -> None:
        """Return when it waits for rows; 0 sets no limit. Raises ModelTooLarge."""
        try:
            message = await self._hear()
        except (WorkerDied, WorkerBroke) as failure:
            if memory_bytes and tells_of_short_memory(await self._log()):
                raise ModelTooLarge(limit=readable(memory_bytes)) from failure
            raise
        if not isinstance(message, Loaded):
            raise TypeError(f"{type(message).__name__} is not how a model begins")

    async def predict(self, rows: RowsHeader, content: AsyncIterator[bytes]) -> Answers:
        """What it answers; the port says what it raises."""
        try:
            await self._ask(rows, content)
            header = await self._hear()
            if not isinstance(header, AnswersHeader):
                raise TypeError(f"{type(header).__name__} is no answer")
            answers = Answers.of(header, await self._reader.readexactly(header.size))
        except (ConnectionError, asyncio.IncompleteReadError):
            await self._fail()
        self._listens = True
        return answers

    async def _ask(self, rows: RowsHeader, content: AsyncIterator[bytes]) -> None:
        """Pass rows on. Who leaves while they are waited for leaves a model that can be asked; who leaves while it does
        not take them, or has not answered yet, leaves one that cannot."""
        self._writer.write(encode(rows))
        ending = BROKEN_OFF
        try:
            async for piece in content:
                self._listens = False
                self._writer.writelines(announced(piece))
                await self._writer.drain()
                self._listens = True
            self._listens, ending = False, END
        finally:
            self._writer.write(ending)
        await self._writer.drain()

    async def _hear(self) -> Message:
        line = await self._reader.readline()
        if not line.endswith(b"\n"):
            await self._fail()
        message = decode(line)
        if isinstance(message, Refusal):
            self._listens = True
            raise message.as_problem()
        return message

    async def _fail(self) -> NoReturn:
        failure = without_answer(await self._child.exit_code())
        log.error("model failed", folder=self._folder.name, reason=str(failure), tail=await self._log())
        raise failure

    async def _log(self) -> str:
        return await asyncio.to_thread(tail_of, self._folder / "worker.log")
