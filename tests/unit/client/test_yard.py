"""The local yard, its folder and its ports, with small processes in the place of the services."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import psutil
import pytest

from modelyard import lock, yard
from modelyard.settings import ClientSettings, reachable
from tests.servers.programs import free_port

SERVICE = "import sys; sys.stdin.read()"
GATEWAY = """
import json, os, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"status": "ready", "services": {}, "told": dict(os.environ)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

host, _, port = os.environ["GATEWAY_BIND"].rpartition(":")
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
HTTPServer((host, int(port)), Handler).serve_forever()
"""


@pytest.fixture
def settings(tmp_path, monkeypatch) -> ClientSettings:
    monkeypatch.chdir(tmp_path)
    binds = {f"{name}_bind": f"127.0.0.1:{free_port()}" for name in (*yard.SERVICES, "gateway")}
    return ClientSettings(_env_file=None, data_dir=tmp_path / "data", start_seconds=60, stop_seconds=30, **binds)


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    """Modules that the yard starts in the place of the real ones."""
    (tmp_path / "a_service.py").write_text(SERVICE)
    (tmp_path / "a_gateway.py").write_text(GATEWAY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    names = {"storage": "a_service", "metadata": "a_service", "training": "a_service", "gateway": "a_gateway"}
    monkeypatch.setattr(yard, "MODULE_OF", names)


def test_a_yard_serves_until_the_end_of_the_block_and_tells_its_parts_where_the_others_are(settings, stand_ins):
    with yard.serving(settings, lambda _: None, free_ports=True, log_dir=settings.kept_in / "logs") as mine:
        told = httpx.get(f"{mine.url}/readyz").json()["told"]

        assert told["STORAGE_ADDRESS"] == told["STORAGE_BIND"]
        assert told["MODELYARD_DATA_DIR"] == str(settings.kept_in)
        assert told["MODELYARD_EXIT_WITH_PARENT"] == "true"
        assert set(mine.supervisor.pids()) == {"storage", "metadata", "training", "gateway"}
        assert yard.running_url(settings) == mine.url

    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{mine.url}/readyz")
    assert yard.running_url(settings) == ""


def test_two_yards_never_share_a_folder(settings, stand_ins):
    with _another(settings) as mine:
        with pytest.raises(lock.FolderTaken, match="MODELYARD_DATA_DIR") as caught, _another(settings):
            raise AssertionError("a second one started")

        assert caught.value.owner == lock.Owner(mine.url, os.getpid())


def _another(settings):
    return yard.serving(settings, lambda _: None)


def test_a_part_that_cannot_start_ends_the_start_with_its_name(settings, stand_ins, tmp_path):
    (tmp_path / "a_service.py").write_text("raise SystemExit(7)")
    (tmp_path / "a_gateway.py").write_text(GATEWAY.replace('"ready"', '"degraded"'))  # as it is while a part is missing

    with pytest.raises(yard.YardError, match=r"could not start \(status 7\)"), _another(settings):
        raise AssertionError("it started")


def test_a_yard_that_does_not_get_ready_says_why(settings, stand_ins, tmp_path, monkeypatch):
    asked = tmp_path / "asked"
    unready = GATEWAY.replace('"ready"', '"degraded"').replace(
        '"services": {}', '"services": {"storage": {"ready": False, "reason": "the disk is full"}}'
    )
    (tmp_path / "a_gateway.py").write_text(unready.replace("body = ", f"open({str(asked)!r}, 'w').close(); body = "))

    def monotonic() -> float:
        """The time is over once the gateway was asked, however long it takes to start."""
        return time.monotonic() + (settings.start_seconds if asked.exists() else 0)

    monkeypatch.setattr(yard, "time", SimpleNamespace(monotonic=monotonic, sleep=time.sleep))

    with pytest.raises(yard.YardError, match="not ready after 60 s: storage: the disk is full"), _another(settings):
        raise AssertionError("it was ready")


def test_a_taken_port_is_said_up_front_with_the_setting_that_changes_it(settings):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        busy = settings.model_copy(update={"metadata_bind": bind})

        with pytest.raises(yard.YardError, match=f"{bind}.*METADATA_BIND"), yard.serving(busy, lambda _: None):
            raise AssertionError("it started")


@pytest.mark.parametrize("bind", ["8000", "127.0.0.1:http", "127.0.0.1:99999", "192.0.2.1:8000"])
def test_an_address_that_cannot_be_listened_on_is_said_with_its_setting(bind):
    with pytest.raises(yard.YardError, match="GATEWAY_BIND"):
        yard.check_free("gateway", bind)


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        ("127.0.0.1:8000", "127.0.0.1:8000"),
        ("0.0.0.0:8000", "127.0.0.1:8000"),
        ("[::]:8000", "127.0.0.1:8000"),
        ("unix:/run/storage.sock", "unix:/run/storage.sock"),
    ],
)
def test_the_address_of_a_server_that_listens_everywhere_is_loopback(bind, address):
    assert reachable(bind) == address


HOLDER = """
import subprocess, sys, time
from pathlib import Path
from modelyard import lock
with lock.hold(Path(sys.argv[1]), "http://127.0.0.1:1", 0) as descriptor:
    subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdout=-3, pass_fds=[descriptor])
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_folder_stays_held_until_the_last_child_of_a_killed_yard_has_ended(tmp_path: Path):
    """Two storage services never write to one folder, not even while the first is still ending."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGKILL)
        _has_ended(holder)

        with pytest.raises(lock.FolderTaken), lock.hold(tmp_path, "http://127.0.0.1:2", patience_seconds=0):
            raise AssertionError("it was free")
        threading.Timer(0.5, holder.stdin.close).start()  # which the child waits for
        with lock.hold(tmp_path, "http://127.0.0.1:2", patience_seconds=60):
            assert holder.stdin.closed


def test_a_supervisor_that_has_ended_runs_no_more_though_nobody_has_asked_how_it_ended(tmp_path: Path):
    """Where the first process of a container takes its time, that is seconds after the kill."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    _has_ended(ended)

    assert lock.Owner(pid=os.getpid()).alive
    assert not lock.Owner(pid=ended.pid).alive
    ended.wait()
    assert not lock.Owner(pid=ended.pid).alive


def _has_ended(process: "subprocess.Popen[bytes]") -> None:
    """Wait for the end of a process, and leave it to be asked for."""
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def test_a_lock_file_that_nobody_wrote_names_nobody(tmp_path: Path):
    (tmp_path / "yard.lock").write_text("{}garbage")

    assert not lock.owner_of(tmp_path).alive
    assert not lock.owner_of(tmp_path / "absent").alive


RUN = """
from modelyard import yard
yard.MODULE_OF = {"storage": "a_service", "metadata": "a_service", "training": "a_service", "gateway": "a_gateway"}
from modelyard.cli import main
main()
"""


@pytest.fixture
def free_ports(monkeypatch, tmp_path):
    monkeypatch.setenv("MODELYARD_DATA_DIR", str(tmp_path / "data"))
    for name in (*yard.SERVICES, "gateway"):
        monkeypatch.setenv(f"{name.upper()}_BIND", f"127.0.0.1:{free_port()}")


def start() -> subprocess.Popen[str]:
    whole = [sys.executable, "-u", "-c", RUN, "run"]
    return subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ready_line(running: subprocess.Popen[str]) -> str:
    return next(line for line in running.stdout if "is ready" in line)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_tells_the_address_and_stops_everything_when_asked_to(stand_ins, settings, free_ports, number):
    """002: Ctrl-C stops all processes, and that is a success."""
    running = start()
    line = ready_line(running)
    children = psutil.Process(running.pid).children()
    running.send_signal(number)
    rest, _ = running.communicate(timeout=60)

    assert f"http://{os.environ['GATEWAY_BIND']}" in line
    assert "its data is in data." in line
    assert len(children) == 4
    assert (running.returncode, rest.splitlines()[-1]) == (0, "Modelyard has stopped.")
    assert not any(child.is_running() for child in children)


def test_run_starts_again_what_is_killed_and_stops_without_its_supervisor(stand_ins, settings, free_ports):
    running = start()
    ready_line(running)
    first = psutil.Process(running.pid).children()[-1]
    first.kill()
    said = next(line for line in running.stdout if "again" in line)
    while len(children := psutil.Process(running.pid).children()) < 4:
        time.sleep(0.02)
    running.kill()
    running.communicate(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=60)

    assert "was ended by SIGKILL; it starts again in 0.5 s." in said
    assert alive == []


def test_run_stops_before_it_is_ready_when_asked_to(stand_ins, settings, free_ports, tmp_path):
    (tmp_path / "a_gateway.py").write_text("import sys; sys.stdin.read()")
    running = start()
    assert next(running.stdout) == "Starting Modelyard\n"
    while len(psutil.Process(running.pid).children()) < 4:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    rest, _ = running.communicate(timeout=60)

    assert (running.returncode, rest.splitlines()[-1]) == (0, "Modelyard has stopped.")


def test_a_second_run_on_the_same_folder_names_the_first(stand_ins, settings, free_ports):
    first = start()
    ready_line(first)
    second = start()
    said, _ = second.communicate(timeout=60)
    first.terminate()
    first.communicate(timeout=60)

    assert second.returncode == 1
    assert f"Modelyard already runs on {settings.kept_in}, at http://{os.environ['GATEWAY_BIND']}" in said
    assert "Traceback" not in said
