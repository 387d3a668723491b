"""A real Azurite on loopback: plain with an account key, or over HTTPS with the tokens of a service principal."""

import base64
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from services.storage.adapters.azure.account import AzureAccount, Patience

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 180
QUICK = Patience(repeats=3, first_wait=0.02)
"""Repeats at once, but waits as long as anybody: on a busy machine Azurite has once been silent for two seconds."""

ALWAYS = ("--silent", "--skipApiVersionCheck", "--disableTelemetry")

_LISTENS = re.compile(r"successfully listens on (https?://[\w.:]+)")


@dataclass(frozen=True)
class Azurite:
    """A server that runs."""

    url: str
    """Without the account."""
    name: str
    key: str = field(repr=False)

    @property
    def account_url(self) -> str:
        """The account's address."""
        return f"{self.url}/{self.name}"

    @property
    def connection_string(self) -> str:
        """Address and key, as settings take them."""
        return self.through(self.url)

    def through(self, url: str) -> str:
        """The connection string that leads over a proxy before this server."""
        return f"AccountName={self.name};AccountKey={self.key};BlobEndpoint={url}/{self.name}"

    def account(self, url: str = "", patience: Patience = QUICK) -> AzureAccount:
        """The account as a test sees it, with containers that nobody else uses."""
        return AzureAccount(connection_string=self.through(url or self.url), patience=patience, **own_containers())


def own_containers() -> dict[str, object]:
    """Containers of one test."""
    mark = uuid.uuid4().hex[:12]
    placements = ("datasets", "models", "projects", "posters", "uploads", "stories")
    return {
        "containers": {placement: f"{placement}-{mark}" for placement in placements},
        "incoming": f"incoming-{mark}",
    }


def program() -> str:
    """Where Azurite is: what AZURITE names, else what npm installed here, else what the system has."""
    folders = [str(place / "node_modules" / ".bin") for place in (Path(__file__).parent, ROOT)]
    found = os.environ.get("AZURITE") or shutil.which("azurite-blob", path=os.pathsep.join(folders))
    found = found or shutil.which("azurite-blob")
    if not found:
        raise RuntimeError("the tests need Azurite: run `npm ci`, or name the program azurite-blob with AZURITE")
    return found


@contextmanager
def azurite(cert: Path | None = None, key: Path | None = None) -> Iterator[Azurite]:
    """An Azurite with nothing in it, gone at the end of the block. With a certificate it takes tokens as well."""
    account, secret = "modelyardtests", base64.b64encode(secrets.token_bytes(64)).decode()
    options = ["--oauth", "basic", "--cert", str(cert), "--key", str(key)] if cert and key else []
    with tempfile.TemporaryDirectory(prefix="azurite-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program(), "--blobHost", "127.0.0.1", "--blobPort", "0", "--location", folder, *ALWAYS, *options],
                env=os.environ | {"AZURITE_ACCOUNTS": f"{account}:{secret}"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            yield Azurite(_address(process, log), account, secret)
        finally:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := _LISTENS.search(log.read_text()):
            return found[1]
        time.sleep(0.02)
    raise RuntimeError(f"Azurite did not start:\n{log.read_text()}")
