"""What the tests of migrations and backups share: the command line in a process, and what a database holds."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from modelyard.embedded import embedded_channel
from modelyard.metadata.v1 import admin_pb2 as pb
from modelyard.metadata.v1.admin_pb2_grpc import AdminServiceStub
from tests.contract.metadata.everything import house_of, seed
from tests.e2e.house import OURS, ROOT

MODELYARD = Path(sys.executable).with_name("modelyard")


def environment(**added: str) -> dict[str, str]:
    """This process's environment without what would configure Modelyard."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
    return kept | added


def started(*words: str, **added: str) -> "subprocess.Popen[str]":
    """The command line, running."""
    return subprocess.Popen(
        [MODELYARD, *words],
        env=environment(**added),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def told(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """How it ended, and what it said."""
    said, _ = process.communicate(timeout=120)
    return process.returncode, said


def seeded(url: str, metrics: int) -> None:
    """Put several records of every kind into a database."""

    async def work() -> None:
        async with embedded_channel(url) as channel:
            await seed(house_of(channel), metrics)

    asyncio.run(work())


def exported(url: str) -> bytes:
    """All that a database holds, in the one form there is."""

    async def work() -> bytes:
        async with embedded_channel(url) as channel:
            stub = AdminServiceStub(channel.grpc)
            batches = stub.ExportRecords(pb.ExportRecordsRequest(), **channel.within(60))
            return b"".join([_lines(batch.records) async for batch in batches])

    return asyncio.run(work())


def _lines(records: Iterable[bytes]) -> bytes:
    return b"".join(record + b"\n" for record in records)


def digest(url: str) -> list[tuple[str, int, str]]:
    """Number and hash of the records of every kind."""

    async def work() -> list[tuple[str, int, str]]:
        async with embedded_channel(url) as channel:
            asked = AdminServiceStub(channel.grpc).DigestRecords(pb.DigestRecordsRequest(), **channel.within(60))
            return [(each.entity, each.count, each.sha256) async for each in asked]

    return asyncio.run(work())
