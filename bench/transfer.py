"""A file of 1 GiB up and down through the gateway, beside `cp` of the same file, and what it costs in memory."""

import hashlib
import json
import random
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.house import House

SIZE = 2**30
ROUNDS = 3
MIB = 2**20


def measure(house: House, folder: Path) -> str:
    """Copy, upload and download in turn, and report the middle time of each."""
    source, copied, received = folder / "big.csv", folder / "copied.csv", folder / "received.csv"
    digest = _make_table(source)
    before = house.resident_bytes()
    works = {
        "copy": lambda: _copied(source, copied),
        "upload": lambda: _upload(house, source),
        "download": lambda: _download(house, received, digest),
    }
    _upload(house, source)  # so that there is something to download, whoever is first
    taken: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(ROUNDS):
        # Each goes first, second and third in turn: whoever follows another writes while that one's pages are flushed.
        for name in [*works][turn:] + [*works][:turn]:
            taken[name].append(works[name]())
    copy, upload, download = (statistics.median(times) for times in taken.values())
    growth = {name: (peak - before[name]) / MIB for name, peak in house.peak_bytes().items()}
    return "\n".join(
        [
            f"cp            {SIZE / MIB / copy:7,.0f} MiB/s",
            f"upload (PUT)  {SIZE / MIB / upload:7,.0f} MiB/s, {copy / upload:.2f} of cp",
            f"download      {SIZE / MIB / download:7,.0f} MiB/s, {copy / download:.2f} of cp",
            f"memory growth {', '.join(f'{name} {mib:.0f} MiB' for name, mib in growth.items())}",
        ]
    )


def _copied(source: Path, copied: Path) -> float:
    seconds = _timed(lambda: subprocess.run(["cp", source, copied], check=True))
    copied.unlink()
    return seconds


def _upload(house: House, source: Path) -> float:
    return _timed(lambda: _curl("--upload-file", str(source), f"{house.url}/api/datasets/upload?file_name=big.csv"))


def _download(house: House, received: Path, digest: str) -> float:
    newest = json.loads(_curl(f"{house.url}/api/datasets"))["datasets"][0]["downloadUrl"]
    seconds = _timed(lambda: _curl("--output", str(received), f"{house.url}{newest}"))
    if _digest(received) != digest:
        raise RuntimeError("what came back is not what was sent")
    received.unlink()
    return seconds


def _make_table(path: Path) -> str:
    """Write a table of numbers and names; its SHA-256."""
    source = random.Random(0)
    rows = [
        f"{i},{source.random():.9f},{source.randint(0, 9)},name-{source.randint(0, 999)},{i % 2}\n"
        for i in range(20_000)
    ]
    block = "".join(rows).encode()
    with path.open("wb") as file:
        file.write(b"id,value,digit,name,label\n")
        while file.tell() < SIZE:
            file.write(block[: SIZE - file.tell()])
    return _digest(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _curl(*arguments: str) -> bytes:
    curl = shutil.which("curl")
    if not curl:
        raise RuntimeError("this measurement needs curl")
    return subprocess.run(
        [curl, "--silent", "--fail", "--show-error", *arguments], check=True, capture_output=True
    ).stdout


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
