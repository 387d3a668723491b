"""A database that has no space left, through the wire."""

import sqlite3

import grpc
import pytest
from grpc.aio import AioRpcError

from modelyard.metadata.v1.run_pb2 import ListRunsRequest
from servicekit import statuses
from services.metadata.adapters import sqlite
from tests.contract.metadata.conftest import Metadata

SPARE_PAGES = 5
TEXT = "what this is about " * 200


@pytest.fixture
def little_space(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own bound for the size of a file, which fails as a full disk does."""
    set_up = sqlite._set_up

    def narrow(connection: sqlite3.Connection, record: object) -> None:
        set_up(connection, record)
        [(pages,)] = connection.execute("PRAGMA page_count").fetchall()
        connection.execute(f"PRAGMA max_page_count={pages + SPARE_PAGES}")

    monkeypatch.setattr(sqlite, "_set_up", narrow)


@pytest.mark.parametrize("metadata", ["sqlite"], indirect=True)
async def test_a_full_disk_is_told_and_loses_nothing(little_space, metadata: Metadata):
    """000.1: what cannot be kept is refused, and may be repeated; what is kept can be read."""
    kept = []
    with pytest.raises(AioRpcError) as refused:
        for _ in range(SPARE_PAGES * 10):
            kept.append((await metadata.run(hyperparameters={"about": TEXT})).id)
    listed = await metadata.runs.ListRuns(ListRunsRequest(user_id="ada", page_size=1000), **metadata.quick)

    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert statuses.reason_of(refused.value) == "STORE_FULL"
    assert statuses.is_transient(refused.value)
    assert sorted(run.id for run in listed.runs) == sorted(kept)
