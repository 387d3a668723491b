"""Twenty jobs at once: whether all end in their order, and how long other calls of the gateway wait meanwhile."""

import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.e2e.house import ROOT, House

JOBS = 20
SECONDS = 900.0
PAUSE_SECONDS = 0.02
SAMPLE = ROOT / "client" / "modelyard" / "samples" / "penguins.csv"
CALLS = ("/api/datasets", "/api/models", "/api/jobs?page_size=20", "/healthz")


def measure(house: House, _: Path) -> str:
    """Submit all jobs at the same moment, and call the gateway as a person's browser would until they have ended."""
    with httpx.Client(base_url=house.url, timeout=120) as http:
        uploaded = http.put("/api/datasets/upload", params={"file_name": "penguins.csv"}, content=SAMPLE.read_bytes())
        dataset = uploaded.raise_for_status().json()["id"]
        idle = _waited(house.url, 5.0)
        started = time.monotonic()
        with _calling(house.url) as waits, ThreadPoolExecutor(JOBS) as people:
            jobs = list(people.map(lambda number: _ask(house.url, dataset, number), range(JOBS)))
            ended = _until_ended(http, [job["id"] for job in jobs])
        seconds = time.monotonic() - started
    created = sorted(ended, key=lambda job: job["createdAt"])
    finished = sorted(ended, key=lambda job: job["updatedAt"])
    late = max(abs(finished.index(job) - place) for place, job in enumerate(created))
    return (
        f"{JOBS} jobs at once: {sum(job['status'] == 'completed' for job in ended)} completed in {seconds:.0f} s; "
        f"the furthest from its place in the order: {late}\n"
        f"other calls, idle:      {_figures(idle)}\n"
        f"other calls, meanwhile: {_figures(waits)}"
    )


def _ask(url: str, dataset: str, number: int) -> dict[str, str]:
    wish = {"target": "species", "engine": "quick", "model_name": f"crowd {number}"}
    answer = httpx.post(f"{url}/api/automl/train/{dataset}", json=wish, timeout=SECONDS)
    job: dict[str, str] = answer.raise_for_status().json()
    return job


def _until_ended(http: httpx.Client, ids: list[str]) -> list[dict[str, str]]:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        jobs = [http.get(f"/api/jobs/{each}").json() for each in ids]
        if all(job["status"] in ("completed", "failed", "cancelled") for job in jobs):
            return jobs
        time.sleep(1)
    raise TimeoutError(f"not all of {len(ids)} jobs ended within {SECONDS:g} s")


def _waited(url: str, seconds: float) -> list[float]:
    with _calling(url) as waits:
        time.sleep(seconds)
    return waits


@contextmanager
def _calling(url: str) -> Iterator[list[float]]:
    """Call again and again for the block; the milliseconds that each call took."""
    waits: list[float] = []
    stop = threading.Event()
    thread = threading.Thread(target=_call, args=(url, waits, stop))
    thread.start()
    try:
        yield waits
    finally:
        stop.set()
        thread.join()


def _call(url: str, waits: list[float], stop: threading.Event) -> None:
    with httpx.Client(base_url=url, timeout=120) as http:
        while not stop.wait(PAUSE_SECONDS):
            path = CALLS[len(waits) % len(CALLS)]
            began = time.perf_counter()
            http.get(path).raise_for_status()
            waits.append((time.perf_counter() - began) * 1000)


def _figures(waits: list[float]) -> str:
    cuts = statistics.quantiles(waits, n=100)
    return f"{len(waits)} calls, p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, longest {max(waits):.0f} ms"
