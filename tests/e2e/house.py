"""The whole house as it really runs: four processes on loopback, each of which a test may kill."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.folders import paths_below
from tests.servers.programs import free_port

ROOT = Path(__file__).resolve().parents[2]
MODULES = {
    "storage": "services.storage",
    "metadata": "services.metadata",
    "training": "services.training",
    "gateway": "gateway",
}
OURS = ("STORAGE_", "METADATA_", "TRAINING_", "GATEWAY_", "MODELYARD_", "AZURE_", "CLOUDINARY_", "KAGGLE_")
START_SECONDS = 180  # a machine that others use too has once taken more than 60
LEASE_SECONDS = 2


class House:
    """Processes with a data folder and a temporary folder of their own."""

    def __init__(self, folder: Path, through: Mapping[str, str] | None = None) -> None:
        """`through` gives addresses by which the gateway reaches services, instead of directly."""
        self.data = folder / "data"
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True)
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.addresses = {name: f"127.0.0.1:{free_port()}" for name in MODULES}
        self.through = dict(through or {})
        self.extra: dict[str, str] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.url = f"http://{self.addresses['gateway']}"

    def environment(self, name: str) -> dict[str, str]:
        """What a process is told."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
        seen = self.addresses | (self.through if name == "gateway" else {})
        peers = {f"{peer.upper()}_ADDRESS": address for peer, address in seen.items() if peer != "gateway"}
        return (
            kept
            | peers
            | self.extra
            | {
                "MODELYARD_DATA_DIR": str(self.data),
                "MODELYARD_LOG_FORMAT": "json",
                "TMPDIR": str(self.temporary),
                "GATEWAY_LEASE_SECONDS": str(LEASE_SECONDS),
                f"{name.upper()}_BIND": self.addresses[name],
            }
        )

    def start(self, *names: str) -> None:
        """Start processes; their logs go on where they ended."""
        for name in names or MODULES:
            with (self.logs / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", MODULES[name]],
                    cwd=ROOT,
                    env=self.environment(name),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )

    def kill(self, name: str) -> None:
        """End a process as a power cut would."""
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def stop(self) -> None:
        """Stop everything that still runs, gently at first."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def wait_ready(self) -> None:
        """Wait until the gateway says that everything is ready."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            # Whoever answers in place of one that could not start is none of this house.
            assert all(process.poll() is None for process in self.processes.values()), self.log_tails()
            try:
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"not ready after {START_SECONDS} s:\n{self.log_tails()}")

    def log_tails(self) -> str:
        """The end of every log, for a failed test's message."""
        return "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in sorted(self.logs.iterdir()))

    def log(self, name: str) -> str:
        """A process's log so far."""
        return (self.logs / f"{name}.log").read_text()

    def resident_bytes(self) -> dict[str, int]:
        """Memory of each process now."""
        pages = {
            name: Path(f"/proc/{process.pid}/statm").read_text().split()[1] for name, process in self.processes.items()
        }
        return {name: int(count) * os.sysconf("SC_PAGE_SIZE") for name, count in pages.items()}

    def peak_bytes(self) -> dict[str, int]:
        """The most memory each process ever had."""
        return {name: _peak(process.pid) for name, process in self.processes.items()}

    def stored_files(self) -> list[Path]:
        """Files of objects, without those that describe them."""
        files = [path for path in paths_below(self.data / "objects") if path.is_file()]
        own = {"@object.json", "signing.key", ".lock"}
        return [path for path in files if path.name not in own and ".incoming" not in path.parts]

    def left_over(self) -> list[Path]:
        """Files in temporary places, which should be none when nothing runs."""
        places = (self.temporary, self.data / "objects" / ".incoming", self.data / "training")
        files = [path for place in places for path in paths_below(place) if path.is_file()]
        # Kept on purpose: what was found in datasets. There for an instant: the file by which health is probed.
        return [path for path in files if "inspections" not in path.parts and not path.name.startswith("probe-")]


def _peak(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
