"""Writes the model card: what a model predicts, how well, from what, and how to run it."""

from typing import Any

from services.training.workloads.kit.metrics import SCALES
from services.training.workloads.kit.wording import count, how_to_run, number, plain

MEANINGS = {
    "accuracy": "share of the rows that are right",
    "balanced_accuracy": "mean over the classes of the share that is found",
    "f1": "harmonic mean of precision and recall for the last class",
    "f1_macro": "mean over the classes of their F1",
    "roc_auc": "chance that a row of the last class is ranked above another; 0.5 is guessing",
    "roc_auc_ovr": "mean over the classes of their area under the curve; 0.5 is guessing",
    "log_loss": "how far the probabilities are off; 0 is perfect",
    "r2": "share of the variation that is explained; 0 is no better than the mean",
    "rmse": "root of the mean squared error, in units of the target",
    "mae": "mean absolute error, in units of the target",
}
COLUMNS_SHOWN = 50
CLASSES_SHOWN = 20
MATRIX_CLASSES = 10
FEATURES_SHOWN = 15


def write_card(manifest: dict[str, Any]) -> str:
    """The model card as Markdown, from the manifest alone."""
    sections = [_summary, _metrics, _confusion, _leaderboard, _importance, _running, _data, _columns, _limits]
    written = (section(manifest) for section in sections)
    return "\n\n".join(text for text in written if text) + "\n"


def _summary(manifest: dict[str, Any]) -> str:
    kind = "a number" if manifest["problem_type"] == "regression" else f"one of {_classes(manifest)}"
    measured = manifest["score"]["name"]
    return (
        f"# {plain(manifest['model_name'])}\n\n"
        f"Predicts `{plain(manifest['target'])}` ({kind}) from {count(manifest['features'], 'column')}.\n\n"
        f"Model: {manifest['best_model']}, engine {manifest['engine']}. "
        f"On held-out rows: {measured} {manifest['metrics'][measured]:.4f}.\n"
        f"Trained {manifest['created']} as `{manifest['training_id']}`."
    )


def _classes(manifest: dict[str, Any]) -> str:
    names = [f"`{plain(label)}`" for label in manifest["classes"]]
    rest = f" and {len(names) - CLASSES_SHOWN} more" if len(names) > CLASSES_SHOWN else ""
    return ", ".join(names[:CLASSES_SHOWN]) + rest


def _metrics(manifest: dict[str, Any]) -> str:
    split, baseline = manifest["split"], manifest["baseline"]
    rows = [
        f"| {name} | {value:.4f} | {'lower' if SCALES[name].is_error else 'higher'} | {MEANINGS[name]} |"
        for name, value in manifest["metrics"].items()
    ]
    known = next(name for name in baseline if name != "answer")
    return "\n".join(
        [
            "## How well",
            "",
            f"Measured on {split['test_rows']:,} rows that were held out before training ({split['method']}, seed "
            f"{split['seed']}); {split['train_rows']:,} rows were learned from. This package holds the very model that "
            "was measured; it was not fitted again afterwards.",
            "",
            "| metric | value | better is | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
            f"Always answering `{plain(baseline['answer'])}` would reach {known} {baseline[known]:.4f} on the same "
            "rows. A metric that these rows do not define is left out.",
        ]
    )


def _leaderboard(manifest: dict[str, Any]) -> str:
    rows = [
        f"| {entry['model']} | {number(entry['test_score'])} | {number(entry['validation_score'])} "
        f"| {entry['fit_seconds']:.1f} |"
        for entry in manifest["leaderboard"]
    ]
    left_out = manifest["evaluation"].get("left_out", [])
    reasons = "".join(f"\n- {each['family']}: {each['reason']}" for each in left_out)
    note = f"\n\nAsked for and not among them:\n{reasons}" if reasons else ""
    head = "| model | held-out score | validation score | seconds to fit |\n|---|---|---|---|\n"
    return (
        f"## Models tried\n\nScore: {manifest['score']['name']}, higher is better.\n\n{head}" + "\n".join(rows) + note
    )


def _confusion(manifest: dict[str, Any]) -> str:
    """What was answered for which class, where there are few."""
    matrix = manifest["evaluation"].get("confusion_matrix")
    if not matrix or len(matrix["labels"]) > MATRIX_CLASSES:
        return ""
    names = [f"`{plain(label)}`" for label in matrix["labels"]]
    rows = [
        f"| {name} | {' | '.join(map(str, counts))} |" for name, counts in zip(names, matrix["counts"], strict=True)
    ]
    head = f"| is, answered | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}"
    return (
        f"## What is taken for what\n\nHeld-out rows by what they are and what was answered.\n\n{head}\n"
        + "\n".join(rows)
    )


def _importance(manifest: dict[str, Any]) -> str:
    """The columns that matter most."""
    found = manifest["evaluation"].get("feature_importance", [])[:FEATURES_SHOWN]
    if not found:
        return ""
    rows = "\n".join(f"| `{plain(each['feature'])}` | {each['importance']:.4g} |" for each in found)
    return (
        f"## What matters\n\nHow far {manifest['score']['name']} on held-out rows falls when the values of a column "
        f"are shuffled; columns that tell the same share what they matter.\n\n| column | fall |\n|---|---|\n{rows}"
    )


def _running(manifest: dict[str, Any]) -> str:
    notes = (
        "`load_model.py` gives the model to other programs. Both check every file against `manifest.json` first, "
        "which finds damage but not intent: the model is a Python pickle, so load only packages whose origin you trust."
    )
    return how_to_run(manifest, "data.csv -o predictions.csv", notes)


def _data(manifest: dict[str, Any]) -> str:
    data = manifest["dataset"]
    dropped = data["rows_without_target"]
    unused = [f"- `{plain(name)}`: {why}" for name, why in list(manifest["unused_columns"].items())[:COLUMNS_SHOWN]]
    lines = [
        "## Data",
        "",
        f"{data['rows']:,} rows, {data['columns']:,} columns, {data['size']:,} bytes, SHA-256 `{data['sha256']}`. "
        "Its licence is not known to this package.",
    ]
    if dropped:
        lines += ["", f"{dropped:,} rows have no value in `{plain(manifest['target'])}` and were left out."]
    if unused:
        lines += ["", f"{count(manifest['unused_columns'], 'column')} not used:", "", *unused]
    return "\n".join(lines)


def _columns(manifest: dict[str, Any]) -> str:
    features = manifest["features"]
    rows = [f"| `{plain(feature['name'])}` | {feature['kind']} |" for feature in features[:COLUMNS_SHOWN]]
    rest = f"\n\nand {len(features) - COLUMNS_SHOWN:,} more, listed in `manifest.json`" * (
        len(features) > COLUMNS_SHOWN
    )
    return "## Columns it needs\n\n| column | kind |\n|---|---|\n" + "\n".join(rows) + rest


def _limits(manifest: dict[str, Any]) -> str:
    rows = manifest["split"]["test_rows"]
    few = f" With {rows:,} held-out rows, the metrics are rough." if rows < 100 else ""
    return (
        "## Limits\n\n"
        "It knows nothing but the rows it learned from: where new rows come from another place, time or population, "
        "measure it again before relying on it. Rows were held out at random, so rows that belong together, such as "
        "those of one person or one day, may stand on both sides and make the metrics look better than they are."
        f"{few}"
    )
