"""GET /api/jobs/{id} under load, beside the least that FastAPI and one gRPC call can cost."""

import subprocess
import sys
from pathlib import Path

import httpx

from bench.load import Figures, under_load
from tests.e2e.house import ROOT, House, free_port

CLIENTS = 16
SECONDS = 8.0


def measure(house: House, _: Path) -> str:
    """Load both in turn, twice, and report the better round of each."""
    job_id = _a_job(house)
    port, peer = free_port(), free_port()
    floor = [
        subprocess.Popen([sys.executable, "-m", "bench.floor", role, str(port), str(peer)], cwd=ROOT)
        for role in ("service", "gateway")
    ]
    try:
        _wait(f"http://127.0.0.1:{port}/job")
        rounds = [
            (_loaded(f"{house.url}/api/jobs/{job_id}"), _loaded(f"http://127.0.0.1:{port}/job")) for _ in range(2)
        ]
    finally:
        for process in floor:
            process.kill()
    ours = max((ours for ours, _ in rounds), key=lambda figures: figures.per_second)
    bare = max((bare for _, bare in rounds), key=lambda figures: figures.per_second)
    return (
        f"GET /api/jobs/{{id}}, {CLIENTS} clients: {ours}\n"
        f"bare FastAPI and one gRPC call:   {bare}\n"
        f"ratio of requests per second:     {ours.per_second / bare.per_second:.2f}"
    )


def _a_job(house: House) -> str:
    sample = ROOT / "client" / "modelyard" / "samples" / "penguins.csv"
    answer = httpx.post(
        f"{house.url}/api/train", params={"wait": "true"}, files={"file": sample.open("rb")}, timeout=120
    )
    job_id: str = answer.raise_for_status().json()["id"]
    return job_id


def _loaded(url: str) -> Figures:
    return under_load(url, CLIENTS, SECONDS)


def _wait(url: str) -> None:
    transport = httpx.HTTPTransport(retries=40)
    with httpx.Client(transport=transport) as client:
        client.get(url).raise_for_status()
