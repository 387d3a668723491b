"""Puts the storage service together; the only place that names concrete backends."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from modelyard.storage.v1 import storage_pb2_grpc
from servicekit.server import Application, Service
from services.storage.adapters.local.backend import local_backend
from services.storage.adapters.local.signing_key import signing_key
from services.storage.domain.catalog import Catalog
from services.storage.domain.downloads import Downloads
from services.storage.domain.placements import PLACEMENTS, Placement, Shelves
from services.storage.domain.ports import Backend
from services.storage.domain.signing import Signer, utc_now
from services.storage.domain.uploads import Uploads
from services.storage.servicer import StorageServicer
from services.storage.settings import StorageSettings


@asynccontextmanager
async def bootstrap(settings: StorageSettings) -> AsyncIterator[Application]:
    """The service as its settings want it, for the length of the block."""
    async with local_backend(settings.objects) as local:
        given = settings.signing_key.get_secret_value().encode()
        key = given or await asyncio.to_thread(signing_key, settings.objects)
        yield compose([local], key, timedelta(seconds=settings.sign_ttl))


def compose(
    backends: Sequence[Backend],
    key: bytes,
    ttl: timedelta,
    placements: Sequence[Placement] = PLACEMENTS,
    now: Callable[[], datetime] = utc_now,
) -> Application:
    """The service over any backends, under the names that the placements use."""
    shelves = Shelves(placements, {backend.name: backend for backend in backends})
    catalog = Catalog(shelves)
    servicer = StorageServicer(Uploads(shelves), Downloads(shelves), catalog, Signer(catalog, key, ttl, now))
    service = Service(
        "modelyard.storage.v1.StorageService", storage_pb2_grpc.add_StorageServiceServicer_to_server, servicer
    )
    return Application([service], {backend.name: backend.probe for backend in backends})
