"""Writes the model card: what a model tells of images, how well, from what it learned, and how to run it."""

from typing import Any

from services.training.workloads.kit.metrics import SCALES
from services.training.workloads.kit.wording import how_to_run, number, plain

UNDEFINED = "not defined"
MEANINGS = {
    "accuracy": "share of the images that are right",
    "balanced_accuracy": "mean over the classes of the share that is found",
    "f1": "harmonic mean of precision and recall for the last class",
    "f1_macro": "mean over the classes of their F1",
    "roc_auc": "chance that an image of the last class is ranked above another; 0.5 is guessing",
    "roc_auc_ovr": "mean over the classes of their area under the curve; 0.5 is guessing",
    "log_loss": "how far the probabilities are off; 0 is perfect",
}
CLASSES_SHOWN = 50


def write_card(manifest: dict[str, Any]) -> str:
    """The model card as Markdown, from the manifest alone."""
    sections = [_summary, _metrics, _classes, _running, _training, _data, _limits]
    return "\n\n".join(section(manifest) for section in sections) + "\n"


def _summary(manifest: dict[str, Any]) -> str:
    measured = manifest["score"]["name"]
    return (
        f"# {plain(manifest['model_name'])}\n\n"
        f"Tells of an image which of {len(manifest['classes']):,} classes it is.\n\n"
        f"Model: {manifest['best_model']}, engine {manifest['engine']}. "
        f"On held-out images: {measured} {manifest['metrics'][measured]:.4f}.\n"
        f"Trained {manifest['created']} as `{manifest['training_id']}`."
    )


def _metrics(manifest: dict[str, Any]) -> str:
    split, baseline = manifest["split"], manifest["baseline"]
    seed = "" if split["test_fraction"] is None else f", seed {split['seed']}"
    rows = [
        f"| {name} | {value:.4f} | {'lower' if SCALES[name].is_error else 'higher'} | {MEANINGS[name]} |"
        for name, value in manifest["metrics"].items()
    ]
    return "\n".join(
        [
            "## How well",
            "",
            f"Measured on {split['test_rows']:,} images that were held out before training ({split['method']}{seed}); "
            f"{split['train_rows']:,} were learned from, and {split['validation_rows']:,} settled when to stop. This "
            "package holds the very model that was measured.",
            "",
            "| metric | value | better is | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
            f"Always answering `{plain(baseline['answer'])}` would reach accuracy {baseline['accuracy']:.4f} on the "
            "same images. A metric that these images do not define is left out.",
        ]
    )


def _classes(manifest: dict[str, Any]) -> str:
    told = manifest["evaluation"]["per_class"]
    rows = [
        f"| `{plain(each['class'])}` | {number(each['precision'], UNDEFINED)} | {number(each['recall'], UNDEFINED)} "
        f"| {number(each['f1'], UNDEFINED)} | {each['support']:,} |"
        for each in told[:CLASSES_SHOWN]
    ]
    rest = f"\n\nand {len(told) - CLASSES_SHOWN:,} more, listed in `manifest.json`" * (len(told) > CLASSES_SHOWN)
    head = "| class | precision | recall | F1 | held-out images |\n|---|---|---|---|---|\n"
    return "## Classes\n\n" + head + "\n".join(rows) + rest


def _running(manifest: dict[str, Any]) -> str:
    notes = (
        "`load_model.py` gives the model to other programs. Both check every file against `manifest.json` first. The "
        "weights are plain numbers (safetensors): loading them runs no code."
    )
    return how_to_run(manifest, "picture.jpg folder_of_pictures -o predictions.csv", notes)


def _training(manifest: dict[str, Any]) -> str:
    used, curve = manifest["hyperparameters"], manifest["evaluation"]["learning_curve"]
    reasons = {
        "epochs": "all epochs were over",
        "patience": "validation no longer got better",
        "time_limit": "time was up",
    }
    start = f"from the trained network `{plain(used['backbone'])}`" if used["backbone"] else "from scratch"
    missing = manifest["unavailable"]
    note = f" Not available where it was trained: {', '.join(missing)}." if missing else ""
    return (
        f"## Training\n\nTrained {start}, on images scaled to {manifest['image_size']} × {manifest['image_size']} "
        f"pixels, on {used['device']} in {used['precision']}. {len(curve['epoch'])} epochs; it ended because "
        f"{reasons[curve['ended_by']]}, and the weights are those of epoch {curve['best_epoch']}.{note}"
    )


def _data(manifest: dict[str, Any]) -> str:
    data = manifest["dataset"]
    skipped = f" {data['skipped_count']:,} could not be read and were left out; `manifest.json` names them."
    return (
        f"## Data\n\n{data['images']:,} images, {data['size']:,} bytes, SHA-256 `{data['sha256']}`. "
        f"Its licence is not known to this package.{skipped if data['skipped_count'] else ''}"
    )


def _limits(manifest: dict[str, Any]) -> str:
    rows = manifest["split"]["test_rows"]
    few = f" With {rows:,} held-out images, the metrics are rough." if rows < 100 else ""
    return (
        "## Limits\n\n"
        "It answers with one of its classes whatever it is shown, also for an image of none of them. It knows nothing "
        "but the images it learned from: where new ones come from another camera, place or time, measure it again "
        "before relying on it. Images that belong together, such as frames of one film, may stand on both sides of "
        f"the split and make the metrics look better than they are.{few}"
    )
