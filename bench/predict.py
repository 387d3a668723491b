"""Answers of a warm model through the gateway: one row, and 10,000 beside the model's own library in this process."""

import io
import json
import random
import statistics
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow as pa

from bench.scores import TABLES
from services.training.workloads.tabular.templates.load_model import load
from tests.e2e.house import House

ENGINES = {"quick": {}, "autogluon": {"time_limit": 20}}
JSON, PROTOCOL = "application/json", "columns by the inference protocol"
TABLES_ASKED = ["penguins", "titanic", "autompg", "wine", "digits"]
CALLS, ROUNDS, ROWS = 300, 25, 10_000


def measure(house: House, folder: Path) -> str:
    """Train with each engine, then ask for one row again and again, and for many in each format."""
    with httpx.Client(base_url=house.url, timeout=600) as http:
        return "\n".join(_line(http, folder, table, engine) for table in TABLES_ASKED for engine in ENGINES)


def _line(http: httpx.Client, folder: Path, name: str, engine: str) -> str:
    make, target = TABLES[name]
    table = make()
    model = _trained(http, table, target, engine)
    page = http.get(f"/api/models/{model}").raise_for_status().json()
    rows = table[page["features"]]

    def asked(body: bytes, media: str) -> Callable[[], Any]:
        address = f"/v2/models/{model}/infer" if media == PROTOCOL else f"/api/models/{model}/predict"
        headers = {"content-type": JSON if media == PROTOCOL else media}
        return lambda: http.post(address, content=body, headers=headers).raise_for_status()

    one = asked(_bodies(rows.dropna().head(1))[JSON], JSON)
    cuts = statistics.quantiles(_times([one], CALLS)[0], n=100)
    many = rows.sample(ROWS, replace=True, random_state=1)
    own, bodies = _unpacked(http, model, folder / name / engine), _bodies(many)
    answer = own.predict if page["problemType"] == "regression" else own.predict_proba
    ours = [asked(body, media) for media, body in bodies.items()]
    reading = [lambda body=body, media=media: answer(READERS[media](body)) for media, body in bodies.items()]
    library, *spent = map(statistics.median, _times([lambda: answer(many), *ours, *reading], ROUNDS))
    each = list(zip(bodies, spent[: len(ours)], spent[len(ours) :], strict=True))
    of_rows = ", ".join(f"{media} {library / here:.2f}" for media, here, _ in each)
    of_bytes = ", ".join(f"{media} {there / here:.2f}" for media, here, there in each)
    return (
        f"predict, {name} by {engine}: one row p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms\n"
        f"  {ROWS:,} rows in one call, of the library's own speed ({library:.0f} ms): {of_rows}\n"
        f"  where pandas, or Arrow, reads the same bytes for the library: {of_bytes}"
    )


def _unpacked(http: httpx.Client, model: str, folder: Path) -> Any:
    """The packaged model, loaded in this process."""
    packed = http.get(f"/api/models/{model}/download").raise_for_status().content
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(folder)
    return load(folder)


def _trained(http: httpx.Client, table: pd.DataFrame, target: str, engine: str) -> str:
    wish = {"target": target, "parameters": json.dumps({"engine": engine, **ENGINES[engine]})}
    file = ("table.csv", table.to_csv(index=False).encode())
    answer = http.post("/api/train", params={"wait": "true"}, files={"file": file}, data=wish)
    model: str = answer.raise_for_status().json()["result"]["model_id"]
    return model


def _bodies(rows: pd.DataFrame) -> dict[str, bytes]:
    """The rows in every media type, and as columns."""
    written = io.BytesIO()
    table = pa.Table.from_pandas(rows, preserve_index=False)
    with pa.ipc.new_stream(written, table.schema) as stream:
        stream.write_table(table)
    return {
        JSON: f'{{"rows":{rows.to_json(orient="records")}}}'.encode(),
        "text/csv": rows.to_csv(index=False).encode(),
        "application/vnd.apache.arrow.stream": written.getvalue(),
        PROTOCOL: f'{{"inputs":[{",".join(_tensor(rows[name]) for name in rows)}]}}'.encode(),
    }


def _columns(body: bytes) -> pd.DataFrame:
    return pd.DataFrame({tensor["name"]: tensor["data"] for tensor in json.loads(body)["inputs"]})


READERS: dict[str, Callable[[bytes], pd.DataFrame]] = {
    JSON: lambda body: pd.DataFrame(json.loads(body)["rows"]),
    "text/csv": lambda body: pd.read_csv(io.BytesIO(body)),
    "application/vnd.apache.arrow.stream": lambda body: pa.ipc.open_stream(body).read_pandas(),
    PROTOCOL: _columns,
}
"""Media type to how somebody who has the library at hand would read it."""


def _tensor(column: pd.Series) -> str:
    datatype = "FP64" if pd.api.types.is_numeric_dtype(column) else "BYTES"
    told = json.dumps({"name": column.name, "datatype": datatype, "shape": [len(column)]})
    return f'{told[:-1]},"data":{column.to_json(orient="records")}}}'


def _times(calls: Sequence[Callable[[], Any]], count: int) -> list[list[float]]:
    """Milliseconds of each call, in rounds, so that all of them meet the machine in the same state, each in an order of
    its own: threads of a library wait for more work for a while, and whoever is next does without that processor. The
    first round warms."""
    spent: list[list[float]] = [[] for _ in calls]
    shuffled = random.Random(1)
    for _ in range(count + 1):
        for place in shuffled.sample(range(len(calls)), len(calls)):
            began = time.perf_counter()
            calls[place]()
            spent[place].append((time.perf_counter() - began) * 1000)
    return [each[1:] for each in spent]
