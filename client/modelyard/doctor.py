"""What is right and what is wrong with this installation, and what to do about it."""

import importlib.metadata
import importlib.util
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from pydantic import SecretStr

from modelyard import yard
from modelyard.client import Client
from modelyard.display import size
from modelyard.errors import ModelyardError
from modelyard.records import Health
from modelyard.settings import ClientSettings

LEAST_FREE_BYTES = 2 * 10**9


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    ok: bool
    what: str
    todo: str = ""
    """What to do when it is not ok; a remark when it is."""


def findings(settings: ClientSettings) -> Iterator[Finding]:
    """Look at everything, one after the other."""
    yield _python()
    yield from _settings(settings)
    yield _disk(settings.kept_in)
    yield _part("AutoGluon", "autogluon.tabular", "the quick engine remains; pip install 'modelyard[training]' adds it")
    yield _part("PyTorch", "torch", "neural networks are left out; pip install 'modelyard[torch]' adds them")
    health = _health(settings)
    if isinstance(health, Finding):
        yield health
        yield from _ports(settings)
        return
    yield Finding(True, f"Modelyard at {_address(settings)} is {health.status}")
    yield from _services(health)
    yield from _backends(health)
    yield from _workloads(health)
    if health.ready:
        yield from _trials(settings)


def _python() -> Finding:
    what = f"Python {platform.python_version()}"
    return Finding(sys.version_info[:2] == (3, 11), what, "" if sys.version_info[:2] == (3, 11) else "use Python 3.11")


def _settings(settings: ClientSettings) -> Iterator[Finding]:
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        shown = ("set" if value.get_secret_value() else "not set") if isinstance(value, SecretStr) else value
        yield Finding(True, f"{field.validation_alias} = {shown}")


def _disk(folder: Path) -> Finding:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    todo = (
        ""
        if free >= LEAST_FREE_BYTES
        else f"free some space, or set MODELYARD_DATA_DIR; {size(LEAST_FREE_BYTES)} is little"
    )
    return Finding(free >= LEAST_FREE_BYTES, f"{size(free)} free for {folder}", todo)


def _part(name: str, module: str, without: str) -> Finding:
    """An optional part that is not there is no problem, but worth knowing."""
    try:
        found = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        return Finding(True, f"{name} is not installed here", without)
    return Finding(True, f"{name} {importlib.metadata.version(module)}")


def _health(settings: ClientSettings) -> Health | Finding:
    try:
        with Client(_address(settings), settings.api_key.get_secret_value()) as client:
            return client.health()
    except ModelyardError as error:
        return Finding(False, f"Modelyard at {settings.server_url} cannot be asked", error.message)


def _address(settings: ClientSettings) -> str:
    return yard.running_url(settings) or settings.server_url


def _ports(settings: ClientSettings) -> Iterator[Finding]:
    for name, bind in yard.wanted_binds(settings).items():
        try:
            yard.check_free(name, bind)
        except yard.YardError as error:
            yield Finding(False, f"{name.upper()}_BIND {bind} cannot be used", str(error))
        else:
            yield Finding(True, f"{name.upper()}_BIND {bind} is free")


def _services(health: Health) -> Iterator[Finding]:
    for name, part in health.services.items():
        todo = "" if part.ready else f"{part.reason or 'no reason given'}; its log tells more"
        yield Finding(part.ready, f"{name} is {'ready' if part.ready else 'not ready'}", todo)


def _backends(health: Health) -> Iterator[Finding]:
    for backend in health.backends:
        if not backend.configured:
            yield Finding(True, f"backend {backend.name} is not configured", backend.reason)
        elif backend.reachable:
            yield Finding(True, f"backend {backend.name} can be reached")
        else:
            yield Finding(False, f"backend {backend.name} cannot be reached", backend.reason)


def _trials(settings: ClientSettings) -> Iterator[Finding]:
    """What came of storing, reading and deleting something at every backend that can be reached."""
    try:
        with Client(_address(settings), settings.api_key.get_secret_value()) as client:
            trials = client.storage.check()
    except ModelyardError as error:
        may_not = error.status == HTTPStatus.FORBIDDEN  # no fault of the installation
        yield Finding(may_not, "the backends were not tried", error.message)
        return
    for trial in trials:
        yield Finding(trial.ok, f"{trial.backend}: {_TRIED[trial.part][not trial.ok]}", trial.message)


_TRIED = {
    "store": ("a test object was stored", "a test object cannot be stored"),
    "read": ("it was read back, and is the same", "it cannot be read back as it was"),
    "delete": ("it was deleted", "it cannot be deleted"),
}


def _workloads(health: Health) -> Iterator[Finding]:
    for workload in health.workloads:
        without = ", ".join(workload.unavailable)
        has = f"trains {workload.name} data with {', '.join(workload.available) or 'nothing'}"
        yield Finding(bool(workload.available), has, f"not installed there: {without}" if without else "")
