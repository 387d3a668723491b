"""Which storage account, by which credentials, and how patiently."""

import base64
import binascii
import random
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from azure.core.exceptions import AzureError
from azure.core.pipeline import PipelineResponse
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity.aio import ClientSecretCredential
from azure.storage.blob.aio import BlobServiceClient, ExponentialRetry
from typing_extensions import override

from services.storage.adapters.azure.errors import AskedForFewer
from services.storage.domain.errors import BackendNotConfigured

_BLOCK_READ = 512 * 1024
_TOO_MANY = 429
_LONGEST_WAIT = 10.0
_EMULATED = "UseDevelopmentStorage"


@dataclass(frozen=True)
class Patience:
    """How long to wait for Azure, and how often to repeat. Seconds."""

    connect: float = 5
    read: float = 30
    """Without a byte of the answer."""
    call: float = 180
    """For one call with all its repeats, above all for the bytes of one block to get through."""
    repeats: int = 3
    first_wait: float = 0.4
    """Doubled with every repeat, and spread by half of itself both ways."""


@dataclass(frozen=True)
class AzureAccount:
    """A storage account: by a connection string, else by its address and either its key or a service principal."""

    account_url: str = ""
    connection_string: str = field(default="", repr=False)
    account_key: str = field(default="", repr=False)
    tenant_id: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    containers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The container of a placement; a placement that is not named has a container of its own name."""
    incoming: str = "modelyard-incoming"
    """The container in which direct uploads wait until they are committed."""
    authority: str = ""
    """Sign-in service of a cloud of one's own; Microsoft's public one when empty."""
    ca_file: str = ""
    """Certificates to trust besides the system's, for a cloud of one's own."""
    patience: Patience = Patience()


@dataclass(frozen=True)
class Endpoint:
    """An account's name and address without a trailing slash; the key is empty with a service principal."""

    name: str
    url: str
    key: str = field(repr=False)

    @property
    def is_https(self) -> bool:
        """Whether bytes and signatures go through TLS."""
        return self.url.startswith("https:")


def endpoint_of(account: AzureAccount, backend: str) -> Endpoint:
    """Where an account is. Fails with BackendNotConfigured when something is missing or wrong."""
    endpoint = _of_connection_string(account) if account.connection_string else _of_address(account)
    why = endpoint if isinstance(endpoint, str) else _wrong_with(account, endpoint)
    if why or isinstance(endpoint, str):
        raise BackendNotConfigured(backend=backend, why=why)
    return endpoint


def _of_address(account: AzureAccount) -> Endpoint | str:
    parts = urlsplit(account.account_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
        return "the account's address is no plain https:// address"
    in_host = ".blob." in parts.hostname
    name = parts.hostname.partition(".")[0] if in_host else parts.path.strip("/")
    if not name:
        return "the account's address does not name the account"
    return Endpoint(name, account.account_url.rstrip("/"), account.account_key)


def _of_connection_string(account: AzureAccount) -> Endpoint | str:
    if _EMULATED in account.connection_string:
        return f"{_EMULATED} is not supported; write the emulator's address and key out"
    pairs = (entry.partition("=") for entry in account.connection_string.split(";"))
    parts = {name.strip(): value.strip() for name, _, value in pairs}
    name, key = parts.get("AccountName"), parts.get("AccountKey")
    if not name or not key:
        return "the connection string names no account or holds no account key"
    scheme, suffix = parts.get("DefaultEndpointsProtocol", "https"), parts.get("EndpointSuffix", "core.windows.net")
    return Endpoint(name, parts.get("BlobEndpoint", f"{scheme}://{name}.blob.{suffix}").rstrip("/"), key)


def _wrong_with(account: AzureAccount, endpoint: Endpoint) -> str:
    principal = [bool(part) for part in (account.tenant_id, account.client_id, account.client_secret)]
    if endpoint.key:
        return "the account key is not valid base64" if not _is_base64(endpoint.key) else ""
    if not any(principal):
        return "neither an account key nor a service principal is given"
    if not all(principal):
        return "of tenant id, client id and client secret one is missing"
    return "" if endpoint.is_https else "a service principal needs an https:// address"


def _is_base64(key: str) -> bool:
    try:
        return bool(base64.b64decode(key, validate=True))
    except (binascii.Error, ValueError):
        return False


class Repeats(ExponentialRetry):
    """Repeats a call a few times, soon, with jitter; waits for as long as Azure asks to, within reason."""

    def __init__(self, patience: Patience) -> None:
        super().__init__(retry_total=patience.repeats)
        self._first_wait = patience.first_wait

    @override
    def get_backoff_time(self, settings: dict[str, Any]) -> float:
        doubled: float = self._first_wait * 2 ** (settings["count"] - 1)
        wait = doubled * random.uniform(0.5, 1.5)  # noqa: S311 — no secret
        asked: float = settings.get("asked", 0.0)
        return max(wait, min(asked, _LONGEST_WAIT))

    @override
    def increment(
        self, settings: dict[str, Any], request: Any, response: Any = None, error: AzureError | None = None
    ) -> bool:
        answer = response if response is not None else getattr(error, "response", None)
        asked = getattr(answer, "headers", {}).get("Retry-After", "")
        settings["asked"] = float(asked) if asked.isdecimal() else 0.0
        return super().increment(settings, request, response, error)


def _refuse_busy(response: PipelineResponse[Any, Any]) -> None:
    """The SDK repeats after an error, but takes 429 for an answer."""
    if response.http_response.status_code == _TOO_MANY:
        raise AskedForFewer(response.http_response)


def transport_of(account: AzureAccount) -> AioHttpTransport:
    """Connections of one client, kept open between calls."""
    trusted = ssl.create_default_context()
    if account.ca_file:
        trusted.load_verify_locations(account.ca_file)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trusted),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=True,
        read_bufsize=_BLOCK_READ,
    )
    patience = account.patience
    return AioHttpTransport(
        session=session,
        connection_timeout=patience.connect,
        read_timeout=patience.read,
        connection_data_block_size=_BLOCK_READ,
    )


def credential_of(account: AzureAccount) -> ClientSecretCredential:
    """The service principal, which signs in when it is first needed."""
    authority: dict[str, Any] = (
        {"authority": account.authority, "disable_instance_discovery": True} if account.authority else {}
    )
    return ClientSecretCredential(
        account.tenant_id,
        account.client_id,
        account.client_secret,
        transport=transport_of(account),
        retry_total=account.patience.repeats,
        retry_backoff_factor=account.patience.first_wait,
        **authority,
    )


def client_of(
    account: AzureAccount, endpoint: Endpoint, credential: ClientSecretCredential | None
) -> BlobServiceClient:
    """The SDK's client of an account."""
    return BlobServiceClient(
        endpoint.url,
        credential=credential or {"account_name": endpoint.name, "account_key": endpoint.key},
        transport=transport_of(account),
        retry_policy=Repeats(account.patience),
        raw_response_hook=_refuse_busy,
    )
