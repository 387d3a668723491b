"""Answers of a warm model through the gateway: one row, and 10,000 beside the model's own library in this process."""

import io
import json
import statistics
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow as pa

from bench.crowd import SAMPLE
from services.training.workloads.tabular.templates.load_model import load
from tests.e2e.house import House

TARGET = "species"
ENGINES = {"quick": {}, "autogluon": {"time_limit": 20}}
JSON = "application/json"
CALLS, ROUNDS, ROWS = 300, 9, 10_000


def measure(house: House, folder: Path) -> str:
    """Train with each engine, then ask for one row again and again, and for many in each format."""
    with httpx.Client(base_url=house.url, timeout=600) as http:
        return "\n".join(_engine(http, folder, name) for name in ENGINES)


def _engine(http: httpx.Client, folder: Path, name: str) -> str:
    model = _trained(http, name)
    features = http.get(f"/api/models/{model}").raise_for_status().json()["features"]
    rows = pd.read_csv(SAMPLE)[features]

    def milliseconds(body: bytes, media: str, count: int) -> list[float]:
        headers = {"content-type": media}
        address = f"/api/models/{model}/predict"
        return _times(lambda: http.post(address, content=body, headers=headers).raise_for_status(), count)

    cuts = statistics.quantiles(milliseconds(_bodies(rows.dropna().head(1))[JSON], JSON, CALLS), n=100)
    many = rows.sample(ROWS, replace=True, random_state=1)
    own = _unpacked(http, model, folder / name)
    library = statistics.median(_times(lambda: own.predict_proba(many), ROUNDS))
    ours = {media: statistics.median(milliseconds(body, media, ROUNDS)) for media, body in _bodies(many).items()}
    shares = ", ".join(f"{media} {library / spent:.2f}" for media, spent in ours.items())
    return (
        f"predict, {name}: one row p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms\n"
        f"  {ROWS:,} rows in one call, of the library's own speed ({library:.0f} ms): {shares}"
    )


def _unpacked(http: httpx.Client, model: str, folder: Path) -> Any:
    """The packaged model, loaded in this process."""
    packed = http.get(f"/api/models/{model}/download").raise_for_status().content
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(folder)
    return load(folder)


def _trained(http: httpx.Client, engine: str) -> str:
    wish = {"target": TARGET, "parameters": json.dumps({"engine": engine, **ENGINES[engine]}), "model_name": engine}
    with SAMPLE.open("rb") as file:
        answer = http.post("/api/train", params={"wait": "true"}, files={"file": file}, data=wish)
    model: str = answer.raise_for_status().json()["result"]["model_id"]
    return model


def _bodies(rows: pd.DataFrame) -> dict[str, bytes]:
    """The rows in every media type."""
    written = io.BytesIO()
    table = pa.Table.from_pandas(rows, preserve_index=False)
    with pa.ipc.new_stream(written, table.schema) as stream:
        stream.write_table(table)
    return {
        JSON: f'{{"rows":{rows.to_json(orient="records")}}}'.encode(),
        "text/csv": rows.to_csv(index=False).encode(),
        "application/vnd.apache.arrow.stream": written.getvalue(),
    }


def _times(call: Callable[[], Any], count: int) -> list[float]:
    """Milliseconds of each call, after one that warms."""
    call()
    spent = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        spent.append((time.perf_counter() - began) * 1000)
    return spent
