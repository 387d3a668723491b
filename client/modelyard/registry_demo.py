"""The registry, shown: models, versions, datasets, runs with their metrics, an experiment, predictions (004.10).

Nothing is trained here. The numbers are an example of what programs record, and say so in the notes of their records.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape

from modelyard.display import fact, line, table
from modelyard.registry import Registry
from modelyard.registry.documents import Document

USER = "registry-demo"
"""Whose records they are; nobody else's are touched."""
NOTE = "Example values: nothing was trained."
SOURCE = "modelyard demo registry"
EPOCHS = 5

VISION, VAE, GRAPH = "VisionTransformer-CAD", "VAE-3D-Generator", "GNN-Structural-Analysis"
MODELS: tuple[dict[str, Any], ...] = (
    {
        "name": VISION,
        "model_type": "transformer",
        "architecture": "ViT-B/16",
        "description": "Recognizes parts in technical drawings.",
        "config": {"image_size": 224, "patch_size": 16, "layers": 12, "heads": 12},
    },
    {
        "name": VAE,
        "model_type": "vae",
        "architecture": "3D convolutional VAE",
        "description": "Generates shapes from a latent space.",
        "config": {"voxels": 64, "latent_dim": 256},
    },
    {
        "name": GRAPH,
        "model_type": "gnn",
        "architecture": "GraphSAGE",
        "description": "Predicts stress in structures.",
        "config": {"layers": 4, "hidden_dim": 128},
    },
)
VERSIONS: tuple[dict[str, Any], ...] = (
    {"model": VISION, "version": "v1.0", "config": {"optimizer": "AdamW", "lr": 0.0003}, "file_size": 343_261_184},
    {"model": VAE, "version": "v1.0", "config": {"beta": 4.0, "optimizer": "Adam"}, "file_size": 128_974_848},
)
DATASETS: tuple[dict[str, Any], ...] = (
    {
        "name": "CAD-Drawings-10K",
        "description": "Technical drawings with labeled parts.",
        "num_samples": 10_000,
        "splits": {"train": 8000, "validation": 1000, "test": 1000},
    },
    {
        "name": "Shapes-3D-5K",
        "description": "Voxelized shapes.",
        "num_samples": 5_000,
        "splits": {"train": 4000, "validation": 500, "test": 500},
    },
)


@dataclass(frozen=True)
class Series:
    """A metric, epoch by epoch."""

    name: str
    split: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Training:
    """One run, with what is logged of it."""

    name: str
    model: str
    dataset: str
    hyperparameters: Mapping[str, Any]
    series: tuple[Series, ...]
    completed: bool


TRAININGS = (
    Training(
        "ViT baseline",
        VISION,
        "CAD-Drawings-10K",
        {"learning_rate": 0.0003, "batch_size": 32, "optimizer": "AdamW", "warmup_steps": 500},
        (
            Series("loss", "train", (2.31, 1.52, 1.07, 0.83, 0.69)),
            Series("loss", "validation", (2.05, 1.49, 1.16, 0.98, 0.91)),
            Series("accuracy", "train", (0.34, 0.55, 0.68, 0.75, 0.8)),
            Series("accuracy", "validation", (0.41, 0.56, 0.65, 0.7, 0.72)),
        ),
        completed=True,
    ),
    Training(
        "VAE first try",
        VAE,
        "Shapes-3D-5K",
        {"learning_rate": 0.001, "batch_size": 16, "beta": 4.0, "latent_dim": 256},
        (
            Series("reconstruction_loss", "train", (0.42, 0.31, 0.25, 0.22, 0.2)),
            Series("kl_loss", "train", (0.02, 0.05, 0.07, 0.08, 0.09)),
            Series("total_loss", "train", (0.5, 0.51, 0.53, 0.54, 0.56)),
        ),
        completed=False,
    ),
)
PREDICTIONS = (
    ("drawing-001.png", "bearing", 0.94),
    ("drawing-002.png", "gear", 0.88),
    ("drawing-003.png", "shaft", 0.91),
    ("drawing-004.png", "flange", 0.67),
    ("drawing-005.png", "bearing", 0.79),
)
EXPERIMENT = "Which architecture for CAD data"
GOAL = "Compare what a transformer and a variational autoencoder learn from drawings and shapes."


def run(console: Console, registry: Registry) -> dict[str, int]:
    """Record the example and show it; a repeat finds what is there. Returns the statistics."""
    before = registry.get_statistics()
    said = "Found what an earlier demo recorded; only what is missing is added" if any(before.values()) else "Recording"
    line(console, f"{said} in {escape(repr(registry))}. {NOTE}")
    models = {each["name"]: _created(console, registry, "model", each) for each in MODELS}
    datasets = {each["name"]: _created(console, registry, "dataset", each) for each in DATASETS}
    versions = {each["model"]: _version(console, registry, models, each) for each in VERSIONS}
    runs = [_train(console, registry, each, versions[each.model], datasets[each.dataset]) for each in TRAININGS]
    _compare(console, registry, runs)
    _predict(console, registry, versions[VISION])
    _query(console, registry)
    statistics = registry.get_statistics()
    table(console, "STATISTICS", "", rows=((name.replace("_", " "), count) for name, count in statistics.items()))
    return statistics


def _created(console: Console, registry: Registry, kind: str, fields: Mapping[str, Any]) -> int:
    create = registry.create_model if kind == "model" else registry.create_dataset
    number: int = create(**fields, tags={"note": NOTE}, request_id=_request(kind, fields["name"]))
    fact(console, kind.title(), f"{number}: {fields['name']}")
    return number


def _version(console: Console, registry: Registry, models: Mapping[str, int], told: Mapping[str, Any]) -> int:
    fields = {name: value for name, value in told.items() if name != "model"}
    request_id = _request("version", f"{told['model']} {told['version']}")
    number = registry.create_model_version(models[told["model"]], **fields, tags={"note": NOTE}, request_id=request_id)
    fact(console, "Version", f"{number}: {told['model']} {told['version']}")
    return number


def _train(console: Console, registry: Registry, training: Training, version: int, dataset: int) -> int:
    request_id = _request("run", training.name)
    number = registry.create_training_run(
        version, dataset, training.name, total_epochs=EPOCHS, notes=NOTE, request_id=request_id
    )
    registry.log_hyperparameters(number, training.hyperparameters)
    metrics = [
        {"metric_name": each.name, "value": value, "epoch": epoch, "split": each.split}
        for each in training.series
        for epoch, value in enumerate(each.values, 1)
    ]
    count = registry.log_metrics(number, metrics)
    if training.completed:
        registry.update_training_run(number, status="completed")
    state = "completed" if training.completed else "running"
    fact(console, "Run", f"{number}: {training.name}, {state}; {count} metrics over {EPOCHS} epochs")
    return number


def _compare(console: Console, registry: Registry, runs: list[int]) -> None:
    number = registry.create_experiment(EXPERIMENT, goal=GOAL, request_id=_request("experiment", EXPERIMENT))
    for run_id, training in zip(runs, TRAININGS, strict=True):
        request_id = _request("experiment run", training.name)
        registry.add_experiment_run(number, run_id, variant=training.model, request_id=request_id)
    fact(console, "Compared", f"{number}: {EXPERIMENT}, with {len(runs)} runs")


def _predict(console: Console, registry: Registry, version: int) -> None:
    for file, label, confidence in PREDICTIONS:
        registry.log_prediction(
            version,
            {"image": file},
            {"label": label},
            confidence=confidence,
            source=SOURCE,
            tags={"note": NOTE},
            request_id=_request("prediction", file),
        )
    fact(console, "Predicted", f"{len(PREDICTIONS)} images with version {version}")


def _query(console: Console, registry: Registry) -> None:
    """Some of what can be asked."""
    done = registry.list_training_runs(status="completed")
    _show(console, 'list_training_runs(status="completed")', done, "name")
    vaes = registry.list_models(filter='kind = "vae"')
    _show(console, "list_models(filter='kind = \"vae\"')", vaes, "name")
    _show(console, 'search("latent space")', registry.search("latent space"), "name")
    best = registry.list_training_runs(order_by="metrics.accuracy desc", limit=1)
    _show(console, 'list_training_runs(order_by="metrics.accuracy desc", limit=1)', best, "name")
    found = registry.get_model(name=VAE)
    _show(console, f'get_model("{VAE}")', [found] if found else [], "architecture")
    newest = registry.get_predictions(limit=3)
    _show(console, "get_predictions(limit=3)", [each["output_data"] for each in newest], "label")
    curve = registry.get_metrics(done[0]["id"], "loss", split="validation")
    _show(console, f'get_metrics({done[0]["id"]}, "loss", split="validation")', curve, "value")


def _show(console: Console, question: str, answers: list[Document], name: str) -> None:
    line(console, f"  {escape(question)} → {escape(', '.join(str(each[name]) for each in answers))}")


def _request(kind: str, name: str) -> str:
    """What a repeat of the demo is known by."""
    return f"{USER} {kind} {name}"
