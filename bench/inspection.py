"""Looking into a table of 1,000,000 × 10, beside pandas that computes the same of the whole, each in a new process.

Then 200 MB, and where BENCH_INSPECT_GB says so a table of so many GB, for the memory that it takes.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd

from services.training.adapters.inspections import InspectionFiles
from services.training.domain.messages import Inspection, decode
from tests.e2e.house import ROOT, House

ROWS, ROUNDS = 1_000_000, 3
PIECE = 100_000
MIB = 2**20

TELLS = "import json, re, sys, time"
OURS = f"""
{TELLS}
start = time.perf_counter()
from pathlib import Path
from services.training.adapters.tables import inspect_table
from services.training.domain.messages import encode
data, scratch = map(Path, sys.argv[1:])
found = encode(inspect_table(data, scratch, None, 20))
"""
THEIRS = f"""
{TELLS}
start = time.perf_counter()
import pandas as pd
table = pd.read_csv(sys.argv[1], low_memory=False)
found = {{"rows": len(table), "sample": table.head(20).to_json(orient="records")}}
for name, column in table.items():
    told = found[name] = [str(column.dtype), int(column.isna().sum()), int(column.nunique())]
    values = column
    if column.dtype == bool:
        told.append(column.value_counts().to_dict())
        continue
    if column.dtype == object:
        try:
            values = pd.to_datetime(column, format="ISO8601", utc=True)
        except ValueError:
            told.append(column.value_counts().head(10).to_dict())
            continue
    told += [values.min(), values.max(), values.mean(), values.quantile([0.25, 0.5, 0.75]).tolist()]
found = str(found).encode()
"""
REPORTS = """
seconds = time.perf_counter() - start
# Of this program alone; getrusage also knows the one that started it.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
sys.stderr.write(json.dumps([seconds, peak]))
sys.stdout.buffer.write(found)
"""


def measure(_: House, folder: Path) -> str:
    """Inspect in turn, and report the middle time and the greatest memory of each."""
    table = folder / "table.csv"
    _make_table(table, ROWS)
    taken: dict[str, list[list[float]]] = {OURS: [], THEIRS: []}
    line = b""
    for turn in range(ROUNDS):
        for program in (OURS, THEIRS) if turn % 2 else (THEIRS, OURS):
            figures, told = _run(program, table, folder)
            taken[program].append(figures)
            line = told if program is OURS else line
    (ours, our_peak), (theirs, their_peak) = (_middle(figures) for figures in taken.values())
    return "\n".join(
        [
            f"inspect 1,000,000 × 10, {table.stat().st_size / MIB:,.0f} MiB",
            f"  ours    {ours:.2f} s, {our_peak:,.0f} MiB",
            f"  pandas  {theirs:.2f} s, {their_peak:,.0f} MiB",
            f"  ratios  {theirs / ours:.2f} of its speed, {our_peak / their_peak:.2f} of its memory",
            f"  second look, from the disk: {asyncio.run(_second_look(folder / 'kept', line)):.1f} ms",
            *[_large(folder, megabytes) for megabytes in _sizes()],
        ]
    )


def _sizes() -> list[int]:
    return [200, *[int(1000 * float(size)) for size in os.environ.get("BENCH_INSPECT_GB", "").split()]]


def _large(folder: Path, megabytes: int) -> str:
    table = folder / "large.csv"
    _make_table(table, megabytes * ROWS // 100)
    figures, _ = _run(OURS, table, folder)
    size = table.stat().st_size
    table.unlink()
    return f"  {size / 1e6:,.0f} MB: {figures[0]:.1f} s, {figures[1]:,.0f} MiB"


async def _second_look(folder: Path, line: bytes) -> float:
    files = InspectionFiles(folder)
    found = decode(line)
    if not isinstance(found, Inspection):
        raise TypeError(f"{type(found).__name__} is no inspection")
    await files.put("table", found)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        await files.get("table")
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def _run(program: str, table: Path, folder: Path) -> tuple[list[float], bytes]:
    scratch = folder / f"scratch_{time.monotonic_ns()}"
    scratch.mkdir()
    command = [sys.executable, "-c", textwrap.dedent(program + REPORTS), str(table), str(scratch)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    for path in scratch.iterdir():
        path.unlink()
    scratch.rmdir()
    figures: list[float] = json.loads(done.stderr)
    return figures, done.stdout


def _middle(figures: list[list[float]]) -> tuple[float, float]:
    return statistics.median(seconds for seconds, _ in figures), max(peak for _, peak in figures)


def _make_table(path: Path, rows: int) -> None:
    """Numbers, times, truth values, words and names, of which one column is another in every row."""
    random = np.random.default_rng(3)
    for start in range(0, rows, PIECE):
        count = min(PIECE, rows - start)
        piece = pd.DataFrame(
            {
                "id": np.arange(start, start + count),
                "small": random.integers(0, 100, count),
                "amount": random.normal(100, 20, count).round(2),
                "measure": random.random(count),
                "gaps": np.where(random.random(count) < 0.1, np.nan, random.integers(0, 5_000, count)),
                "when": (np.datetime64("2020-01-01") + random.integers(0, 2_000, count)).astype(str),
                "truth": random.random(count) < 0.3,
                "city": random.choice(["Aachen", "Berlin", "Chemnitz", "Dresden", "Essen"], count),
                "word": np.char.add("word ", random.integers(0, 20_000, count).astype(str)),
                "name": np.char.add("customer ", np.arange(start, start + count).astype(str)),
            }
        )
        piece.to_csv(path, index=False, header=start == 0, mode="w" if start == 0 else "a")
