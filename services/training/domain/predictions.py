"""Predicts with packaged models from storage."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from servicekit.durability import full_disk_as
from servicekit.scratch import scratch_folder
from services.training.domain.answers import Answers, PackageSource, RowsHeader
from services.training.domain.errors import DiskFull, NoChecksum, PackageChanged, PredictionTooLong
from services.training.domain.fetching import fetch
from services.training.domain.model import DatasetSource
from services.training.domain.ports import DatasetReader, ModelHost, WarmModel
from services.training.domain.warm import Bounds, WarmModels

LOAD_SECONDS = 300.0
"""That a package may take to arrive and be loaded. With the answer that is less than the gateway waits for."""


class Loader:
    """Brings a package from storage to a process; nothing of it is opened before its checksum was compared."""

    def __init__(self, packages: DatasetReader, host: ModelHost, root: Path) -> None:
        self._packages = packages
        self._host = host
        self._root = root

    @asynccontextmanager
    async def load(self, package: PackageSource) -> AsyncIterator[WarmModel]:
        """The model, for the block. Raises PackageChanged and what reader and host raise."""
        async with AsyncExitStack() as stack:
            with full_disk_as(DiskFull):
                folder = await stack.enter_async_context(scratch_folder(self._root, "predict_"))
                async with asyncio.timeout(LOAD_SECONDS):
                    await self._bring(package, folder / "package.zip")
                    model = await stack.enter_async_context(self._host.load(folder))
            yield model

    async def _bring(self, package: PackageSource, path: Path) -> None:
        found = await fetch(self._packages, DatasetSource("", package.placement, package.key), path)
        if found != package.sha256:
            raise PackageChanged(found=found, expected=package.sha256)


class Predictions:
    """Answers for rows."""

    def __init__(self, loader: Loader, bounds: Bounds, seconds: float) -> None:
        self.warm = WarmModels(loader.load, bounds)
        self._seconds = seconds

    async def predict(self, package: PackageSource, rows: RowsHeader, content: AsyncIterator[bytes]) -> Answers:
        """What a model answers for rows that arrive. Raises an InvalidInput for bad rows, PredictionTooLong, and what
        loading and their arrival raise."""
        package = replace(package, sha256=package.sha256.lower())
        if not re.fullmatch("[0-9a-f]{64}", package.sha256):
            raise NoChecksum
        async with self.warm.using(package) as model:
            try:
                async with asyncio.timeout(self._seconds):
                    return await model.predict(rows, content)
            except TimeoutError as error:
                raise PredictionTooLong(seconds=self._seconds) from error
