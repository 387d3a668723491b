"""The local yard: the three services and the gateway as child processes on this machine."""

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelyard import lock
from modelyard.client import Client
from modelyard.errors import ModelyardError
from modelyard.settings import ClientSettings, reachable
from modelyard.supervisor import Child, Supervisor

SERVICES = ("storage", "metadata", "training")
MODULE_OF = {"storage": "services.storage", "metadata": "services.metadata", "training": "services.training"}
LEFTOVER_SECONDS = 20.0
"""How long we wait for the children of a supervisor that was killed."""

Say = Callable[[str], None]


class YardError(Exception):
    """The local yard cannot start, and why."""


@dataclass(frozen=True)
class Yard:
    """A yard that is being served by this process."""

    url: str
    data_dir: Path
    supervisor: Supervisor


@contextmanager
def serving(
    settings: ClientSettings,
    say: Say,
    free_ports: bool = False,
    log_dir: Path | None = None,
    waiting: Callable[[], None] = lambda: None,
) -> Iterator[Yard]:
    """Run a yard for the length of the block, which begins when it is ready.

    `waiting` is called again and again until then, and may raise to give up. Output goes to files in `log_dir`, or to
    our own. Raises YardError when it cannot start and lock.FolderTaken when another yard uses the data folder.
    """
    binds = _free_binds() if free_ports else wanted_binds(settings)
    url = f"http://{reachable(binds['gateway'])}"
    with lock.hold(settings.kept_in, url, LEFTOVER_SECONDS) as descriptor:
        for name, bind in binds.items():
            check_free(name, bind)
        children = _children(binds, settings, descriptor, log_dir)
        with Supervisor(children, say, settings.stop_seconds) as supervisor:
            _wait_until_ready(url, settings, supervisor, waiting)
            yield Yard(url, settings.kept_in, supervisor)


def wanted_binds(settings: ClientSettings) -> dict[str, str]:
    """Where each process is to listen, by its name."""
    return {
        "storage": settings.storage_bind,
        "metadata": settings.metadata_bind,
        "training": settings.training_bind,
        "gateway": settings.gateway_bind,
    }


def _free_binds() -> dict[str, str]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(len(SERVICES) + 1)]
    ports = [taken.getsockname()[1] for taken in held]
    for taken in held:
        taken.close()
    return {name: f"127.0.0.1:{port}" for name, port in zip((*SERVICES, "gateway"), ports, strict=True)}


def check_free(name: str, bind: str) -> None:
    """Raise YardError when the address cannot be listened on."""
    if bind.startswith("unix:"):
        return
    host, _, port = bind.rpartition(":")
    variable = f"{name.upper()}_BIND"
    if not host or not port.isdigit():
        raise YardError(f"{variable} is {bind!r}; give a host and a port, like 127.0.0.1:8000.")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        socket.create_server((host.strip("[]"), int(port)), family=family).close()
    except (OSError, OverflowError) as error:
        message = f"The {name} cannot listen on {bind}: it is taken or not ours. Set {variable} to another address."
        raise YardError(message) from error


def _children(binds: Mapping[str, str], settings: ClientSettings, descriptor: int, log_dir: Path | None) -> list[Child]:
    shared = {"MODELYARD_DATA_DIR": str(settings.kept_in), "MODELYARD_EXIT_WITH_PARENT": "true"}
    shared |= {f"{name.upper()}_BIND": bind for name, bind in binds.items()}
    shared |= {f"{name.upper()}_ADDRESS": reachable(binds[name]) for name in SERVICES}
    if log_dir:
        log_dir.mkdir(parents=True, exist_ok=True)
    return [
        Child(
            name=name,
            argv=(sys.executable, "-m", MODULE_OF.get(name, name)),
            env=shared,
            log=log_dir / f"{name}.log" if log_dir else None,
            keep_open=(descriptor,),
        )
        for name in (*SERVICES, "gateway")
    ]


def _wait_until_ready(url: str, settings: ClientSettings, supervisor: Supervisor, waiting: Callable[[], None]) -> None:
    give_up = time.monotonic() + settings.start_seconds
    with Client(url, settings.api_key.get_secret_value()) as client:
        while why := _not_ready(client):
            waiting()
            for name, status in supervisor.deaths().items():
                raise YardError(f"The {name} could not start (status {status}); what it logged says why.")
            if time.monotonic() > give_up:
                raise YardError(f"Modelyard is not ready after {settings.start_seconds:g} s: {why}")
            time.sleep(0.1)


def _not_ready(client: Client) -> str:
    try:
        health = client.health()
    except ModelyardError as error:
        return error.message
    reasons = [f"{name}: {part.reason}" for name, part in health.services.items() if not part.ready]
    return "" if health.ready else "; ".join(reasons) or health.status


def running_url(settings: ClientSettings) -> str:
    """The address of a yard that answers now: the configured one, or the one that holds the data folder; else empty."""
    urls = [settings.server_url]
    owner = lock.owner_of(settings.kept_in)
    if not settings.url and owner.alive:
        urls.insert(0, owner.url)
    return next((url for url in urls if _answers(url, settings)), "")


def _answers(url: str, settings: ClientSettings) -> bool:
    try:
        with Client(url, settings.api_key.get_secret_value()) as client:
            client.health()
    except ModelyardError:
        return False
    return True


def shown(path: Path) -> str:
    """A path as a person would type it from here."""
    here = Path.cwd()
    return os.path.relpath(path, here) if path.is_relative_to(here) else str(path)
