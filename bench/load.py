"""Loads one address with a number of clients, each on a connection of its own, from a process of its own."""

import asyncio
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import uvloop


@dataclass(frozen=True)
class Figures:
    """What a load gave."""

    per_second: float
    p50_ms: float
    p99_ms: float

    def __str__(self) -> str:
        return f"{self.per_second:7,.0f} requests/s, p50 {self.p50_ms:.2f} ms, p99 {self.p99_ms:.2f} ms"


def under_load(url: str, clients: int, seconds: float) -> Figures:
    """Load an address from another process, so that this one's work is not measured."""
    command = [sys.executable, "-m", "bench.load", url, str(clients), str(seconds)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return Figures(*map(float, printed.split()))


async def _client(host: str, port: int, request: bytes, until: float, taken: list[float]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    while (begun := time.perf_counter()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        taken.append(time.perf_counter() - begun)
    writer.close()


async def _load(url: str, clients: int, seconds: float) -> None:
    parts = urlsplit(url)
    request = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
    taken: list[float] = []
    until = time.perf_counter() + seconds
    await asyncio.gather(
        *(_client(str(parts.hostname), int(parts.port or 80), request, until, taken) for _ in range(clients))
    )
    cuts = statistics.quantiles(taken, n=100)
    sys.stdout.write(f"{len(taken) / seconds} {cuts[49] * 1000} {cuts[98] * 1000}\n")


if __name__ == "__main__":
    uvloop.run(_load(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
