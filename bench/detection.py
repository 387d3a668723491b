"""Finding shapes: a detector from scratch, with default parameters, in a new process: how well, and how long it takes.

Circles, squares and triangles of many sizes and colours on noise, 1 to 5 an image, 128 to 160 pixels a side. Scores are
of held-out images. Wall time counts only on a machine that does nothing else; processor time tells what it would be.
"""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.e2e.house import ROOT, House
from tests.unit.training_workloads.shapes import coco_files, draw_scenes, pack

IMAGES = int(os.environ.get("BENCH_DETECTION_IMAGES", "400"))
SEEDS = [int(seed) for seed in os.environ.get("BENCH_DETECTION_SEEDS", "0").split()]

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
spec = TrainingSpec("bench", "object_detection", DatasetSource("d", "datasets", "k"), parameters={"seed": seed})
result = workload_named("object_detection").train(spec, data, folder, Silence())
used = resource.getrusage(resource.RUSAGE_SELF)
found = {metric.name: metric.value for metric in result.metrics}
found |= {"seconds": time.perf_counter() - start, "processor": used.ru_utime + used.ru_stime}
found |= {"learned": result.train_row_count, "held_out": result.test_row_count, "epochs": result.parameters["epochs"]}
found |= {"mib": used.ru_maxrss / 1024, "package": result.artifact_size}
json.dump(found, sys.stdout)
"""


def measure(_: House, folder: Path) -> str:
    """Train with each seed and report what each came to."""
    data = pack(folder / "shapes.zip", coco_files(draw_scenes(IMAGES)))
    lines = [f"detection: {IMAGES} images of shapes, {data.stat().st_size / 2**20:.0f} MiB"]
    for seed in SEEDS:
        place = folder / f"seed_{seed}"
        place.mkdir()
        command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(data), str(place), str(seed)]
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
        lines.append(_tell(seed, json.loads(done.stdout)))
    return "\n".join(lines)


def _tell(seed: int, found: dict[str, float]) -> str:
    return (
        f"  seed {seed}: map_50 {found['map_50']:.3f}, map {found['map']:.3f}, map_75 {found['map_75']:.3f} on "
        f"{found['held_out']} of {found['learned'] + found['held_out']} images; {found['epochs']} epochs, "
        f"{found['seconds']:.0f} s ({found['processor']:.0f} s of processors), {found['mib']:,.0f} MiB, "
        f"package {found['package'] / 1e6:.1f} MB"
    )
