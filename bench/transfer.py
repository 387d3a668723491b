"""A file of 1 GiB up and down through the gateway, beside `cp` of the same file, and what it costs in memory."""

import hashlib
import json
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.house import House

SIZE = 2**30
MIB = 2**20


def measure(house: House, folder: Path) -> str:
    """Copy, upload, download, each twice; report the better time of each."""
    source, copied, received = folder / "big.csv", folder / "copied.csv", folder / "received.csv"
    digest = _make_table(source)
    before = house.resident_bytes()
    copy = min(_timed(lambda: subprocess.run(["cp", source, copied], check=True)) for _ in range(2))
    copied.unlink()
    uploads = [_upload(house, source) for _ in range(2)]
    url = uploads[-1][1]
    downloads = [_timed(lambda: _curl("--output", str(received), f"{house.url}{url}")) for _ in range(2)]
    if _digest(received) != digest:
        raise RuntimeError("what came back is not what was sent")
    upload, download = min(seconds for seconds, _ in uploads), min(downloads)
    growth = {name: (peak - before[name]) / MIB for name, peak in house.peak_bytes().items()}
    return "\n".join(
        [
            f"cp            {SIZE / MIB / copy:7,.0f} MiB/s",
            f"upload (PUT)  {SIZE / MIB / upload:7,.0f} MiB/s, {copy / upload:.2f} of cp",
            f"download      {SIZE / MIB / download:7,.0f} MiB/s, {copy / download:.2f} of cp",
            f"memory growth {', '.join(f'{name} {mib:.0f} MiB' for name, mib in growth.items())}",
        ]
    )


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


def _upload(house: House, source: Path) -> tuple[float, str]:
    began = time.perf_counter()
    printed = _curl("--upload-file", str(source), f"{house.url}/api/datasets/upload?file_name=big.csv")
    return time.perf_counter() - began, json.loads(printed)["downloadUrl"]


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
