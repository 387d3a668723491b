"""Puts the storage service together; the only place that names concrete backends."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta

from modelyard.storage.v1 import storage_pb2_grpc
from servicekit.logging import get_logger
from servicekit.server import Application, Service
from services.storage.adapters.local.backend import local_backend
from services.storage.adapters.local.signing_key import signing_key
from services.storage.adapters.missing import MissingBackend
from services.storage.domain.catalog import Catalog
from services.storage.domain.copies import Copies, Keeper
from services.storage.domain.downloads import Downloads
from services.storage.domain.placements import LOCAL, PLACEMENTS, Placement, changed
from services.storage.domain.ports import Backend
from services.storage.domain.shelves import Shelves
from services.storage.domain.signing import Seal, Signer, utc_now
from services.storage.domain.tickets import Tickets
from services.storage.domain.uploads import Uploads
from services.storage.servicer import StorageServicer
from services.storage.settings import Readiness, StorageSettings

CLOUDINARY_FOLDERS = {"projects": "freemind-ml-projects", "uploads": "datastory-uploads"}
"""The folders that readers of the systems before this one look into; other placements have one of their name."""

log = get_logger()

Opened = Callable[[StorageSettings], AbstractAsyncContextManager[Backend]]


@asynccontextmanager
async def bootstrap(settings: StorageSettings) -> AsyncIterator[Application]:
    """The service as its settings want it, for the length of the block."""
    async with AsyncExitStack() as stack:
        backends, off = await _backends(settings, stack)
        placements = changed(PLACEMENTS, {name: change.wanted for name, change in settings.placements.items()})
        shelves = Shelves(placements, backends, off)
        _tell(shelves)
        given = settings.signing_key.get_secret_value().encode()
        key = given or await asyncio.to_thread(signing_key, settings.objects)
        yield _application(shelves, key, timedelta(seconds=settings.sign_ttl), settings.quota_bytes, utc_now)


def compose(
    backends: Sequence[Backend],
    key: bytes,
    ttl: timedelta,
    placements: Sequence[Placement] = PLACEMENTS,
    now: Callable[[], datetime] = utc_now,
    quota: int = 0,
) -> Application:
    """The service over any backends, under the names that the placements use."""
    shelves = Shelves(placements, {backend.name: backend for backend in backends})
    return _application(shelves, key, ttl, quota, now)


def _application(shelves: Shelves, key: bytes, ttl: timedelta, quota: int, now: Callable[[], datetime]) -> Application:
    catalog = Catalog(shelves, quota)
    uploads = Uploads(shelves, catalog.accounts, now)
    downloads = Downloads(shelves)
    copies = Copies(shelves, downloads, uploads)
    servicer = StorageServicer(
        shelves=shelves,
        uploads=uploads,
        downloads=downloads,
        catalog=catalog,
        signer=Signer(shelves, Seal("download", key, ttl, now)),
        tickets=Tickets(shelves, uploads, Seal("upload", key, ttl, now)),
        copies=copies,
        keeper=Keeper(shelves, catalog, copies, now),
    )
    service = Service(
        "modelyard.storage.v1.StorageService", storage_pb2_grpc.add_StorageServiceServicer_to_server, servicer
    )
    # A cloud that is down fails what needs it, with a sentence; the service itself is well while its own disk is.
    probes = {name: backend.probe for name, backend in shelves.backends.items() if name == LOCAL}
    return Application([service], probes)


async def _backends(settings: StorageSettings, stack: AsyncExitStack) -> tuple[dict[str, Backend], dict[str, Backend]]:
    """The backends that are on, and stand-ins for those that are off."""
    on: dict[str, Backend] = {LOCAL: await stack.enter_async_context(local_backend(settings.objects))}
    off: dict[str, Backend] = {}
    for name, readiness, opened in _clouds(settings):
        if readiness.on and not readiness.lacks:
            on[name] = await stack.enter_async_context(opened(settings))
        elif readiness.on:
            on[name] = MissingBackend(name, readiness.lacks)
        else:
            off[name] = MissingBackend(name, readiness.lacks)
    return on, off


def _clouds(settings: StorageSettings) -> tuple[tuple[str, Readiness, Opened], ...]:
    return (("azure", settings.azure, _azure), ("cloudinary", settings.cloudinary, _cloudinary))


# A cloud's library is imported where it is used: it would cost those who do without it memory, and time at every start.


def _azure(settings: StorageSettings) -> AbstractAsyncContextManager[Backend]:
    from services.storage.adapters.azure.account import AzureAccount
    from services.storage.adapters.azure.backend import azure_backend

    containers = {"datasets": settings.azure_datasets_container, "models": settings.azure_models_container}
    account = AzureAccount(
        account_url=settings.azure_account_url,
        connection_string=settings.azure_connection_string.get_secret_value(),
        account_key=settings.azure_account_key.get_secret_value(),
        tenant_id=settings.azure_tenant_id,
        client_id=settings.azure_client_id,
        client_secret=settings.azure_client_secret.get_secret_value(),
        containers=containers,
    )
    return azure_backend(account)


def _cloudinary(settings: StorageSettings) -> AbstractAsyncContextManager[Backend]:
    from services.storage.adapters.cloudinary.account import CloudinaryAccount
    from services.storage.adapters.cloudinary.backend import cloudinary_backend

    account = CloudinaryAccount(
        cloud_name=settings.cloudinary_cloud_name,
        api_key=settings.cloudinary_api_key.get_secret_value(),
        api_secret=settings.cloudinary_api_secret.get_secret_value(),
        folders=CLOUDINARY_FOLDERS,
        upload_prefix=settings.cloudinary_upload_prefix,
        delivery=settings.cloudinary_delivery_url,
        scratch=settings.objects / ".incoming",  # which the local backend empties at every start
    )
    return cloudinary_backend(account)


def _tell(shelves: Shelves) -> None:
    """Say at start what is on, what is off and why, and where objects of each kind will go."""
    for name, backend in {**shelves.backends, **shelves.off}.items():
        if isinstance(backend, MissingBackend):
            log.warning("backend is off", backend=name, why=backend.why)
        else:
            log.info("backend is on", backend=name)
    for shelf in shelves:
        policy, names = shelf.policy, [backend.name for backend in shelf.chain]
        say = log.info if names[0] == policy.backends[0] else log.warning
        say("placement", name=policy.name, backends=names, on_error=policy.on_error, local_copy=policy.keep_local_copy)
