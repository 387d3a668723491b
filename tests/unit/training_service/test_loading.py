"""Loader: what may pass until a packaged model answers."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.flows.predicting import PREDICT_SECONDS
from gateway.peers import SCAN_SECONDS
from modelyard.client import TIMEOUT
from services.training.domain import predictions
from services.training.domain.answers import PackageSource
from services.training.domain.predictions import LOAD_SECONDS, Loader
from services.training.settings import TrainingSettings

CONTENT = b"a package"
PACKAGE = PackageSource("models", "m.zip", hashlib.sha256(CONTENT).hexdigest())


class Slow:
    """Reads packages, and loads them; one of both never ends."""

    def __init__(self, stuck_at: str) -> None:
        self._stuck_at = stuck_at

    async def read(self, source: object) -> AsyncIterator[bytes]:
        await self._do("read")
        yield CONTENT

    @asynccontextmanager
    async def load(self, folder: Path) -> AsyncIterator[None]:
        await self._do("load")
        yield

    async def _do(self, what: str) -> None:
        if what == self._stuck_at:
            await asyncio.Event().wait()


@pytest.mark.parametrize("stuck_at", ["read", "load"])
async def test_what_does_not_come_in_time_is_given_up(tmp_path, monkeypatch, stuck_at):
    """M.2: whether it is storage or the model that takes too long, nothing of it is left."""
    monkeypatch.setattr(predictions, "LOAD_SECONDS", 0.3)
    slow = Slow(stuck_at)
    with pytest.raises(TimeoutError):
        async with Loader(slow, slow, tmp_path).load(PACKAGE):
            pass

    assert list(tmp_path.iterdir()) == []


def test_who_waits_has_more_patience_than_whom_it_waits_for():
    """M.2: or a caller hears that its own time is up, where it could have heard what took so long."""
    longest = TrainingSettings(_env_file=None, predict_seconds=90).predict_seconds
    with pytest.raises(ValidationError, match="less than or equal to 90"):
        TrainingSettings(_env_file=None, predict_seconds=91)

    assert LOAD_SECONDS + longest < PREDICT_SECONDS < TIMEOUT.read
    assert TIMEOUT.read > SCAN_SECONDS
