"""Real processes that reserve the same user's usage, and add to the same run."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from services.metadata.domain.entities import Reservation, Run, User
from services.metadata.domain.ports import Query, Store
from services.metadata.domain.records import Records
from services.metadata.domain.usage import Usages

from .reserving import LIMIT, TRIES
from .stores import opened

PROCESSES = 16


@pytest.fixture(scope="module")
def processes() -> "Iterator[list[subprocess.Popen[str]]]":
    """Processes that are started once: that takes longer than what they do."""
    with ExitStack() as stack:
        yield [stack.enter_context(_process(f"p{number}")) for number in range(PROCESSES)]


@contextmanager
def _process(name: str) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, str(Path(__file__).with_name("reserving.py")), name]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _all_reserve(processes: "list[subprocess.Popen[str]]", url: str) -> list[str]:
    for process in processes:
        process.stdin.write(f"{url}\n")
        process.stdin.flush()
    return [request_id for process in processes for request_id in json.loads(process.stdout.readline())]


async def _begin(store: Store) -> None:
    await Records(User, store).create(User(id="ada", email="ada@example.org"), "ada")
    await Records(Run, store).create(Run(id="run", user_id="ada"), "run")


async def test_sixteen_processes_never_exceed_the_limit_of_a_user(
    processes: "list[subprocess.Popen[str]]", database: str
):
    """003.2: a limit holds under concurrent requests; nothing is lost and nothing counted twice, on every store."""
    async with opened(database) as store:
        await _begin(store)
        held = await asyncio.to_thread(_all_reserve, processes, database)
        reservations = await store.find(Reservation, Query({"user_id": "ada"}, limit=1000))
        used = {each.what: each.amount for each in await Usages(store).of("ada")}
        run = await store.get(Run, "run")

    assert PROCESSES * TRIES > LIMIT
    assert used["stories"] == len(reservations) == len(held) == LIMIT
    assert sorted(held) == sorted(each.request_id or "" for each in reservations)
    assert run is not None
    assert run.hyperparameters == {f"p{number}": TRIES for number in range(PROCESSES)}
