"""Writes the model card: what a detector finds, how well, from what it learned, and how to run it."""

from typing import Any

from services.training.workloads.kit.wording import how_to_run, number, plain

MEANINGS = {
    "map_50": "mean over the classes of the average precision, where a box counts that overlaps by half",
    "map": "the same, mean over overlaps of 0.50 to 0.95: how exact the boxes are",
    "map_75": "the same, where a box counts that overlaps by three quarters",
    "recall": "mean over overlaps and classes of the share that is found at all, among 100 boxes an image",
}
CLASSES_SHOWN = 100


def write_card(manifest: dict[str, Any]) -> str:
    """The model card as Markdown, from the manifest alone."""
    sections = [_summary, _metrics, _classes, _running, _data, _limits]
    return "\n\n".join(section(manifest) for section in sections) + "\n"


def _summary(manifest: dict[str, Any]) -> str:
    count, measured = len(manifest["classes"]), manifest["score"]["name"]
    return (
        f"# {plain(manifest['model_name'])}\n\n"
        f"Finds things of {count} class{'' if count == 1 else 'es'} in images, and tells where each of them is.\n\n"
        f"Model: {manifest['best_model']} with {manifest['network']['parameters']:,} parameters, trained from scratch. "
        f"On held-out images: {measured} {manifest['metrics'][measured]:.4f}.\n"
        f"Trained {manifest['created']} as `{manifest['training_id']}`."
    )


def _metrics(manifest: dict[str, Any]) -> str:
    split = manifest["split"]
    learned = split["train_images"] + split["validation_images"]
    rows = [f"| {name} | {value:.4f} | {MEANINGS[name]} |" for name, value in manifest["metrics"].items()]
    return "\n".join(
        [
            "## How well",
            "",
            f"Measured by pycocotools on {split['test_images']:,} images that were held out before training "
            f"({split['method']}, seed {split['seed']}). Of the other {learned:,}, {split['validation_images']:,} "
            "settled which epoch is the best. This package holds the very model that was measured. `samples/` shows "
            "held-out images: on the left what is there, on the right what the model found.",
            "",
            "| metric | value | meaning |",
            "|---|---|---|",
            *rows,
            "",
            "Higher is better; 1 is perfect.",
        ]
    )


def _classes(manifest: dict[str, Any]) -> str:
    rows = [
        f"| `{plain(one['class'])}` | {number(one['ap_50'])} | {number(one['ap'])} | {one['images']:,} "
        f"| {one['boxes']:,} |"
        for one in manifest["per_class"][:CLASSES_SHOWN]
    ]
    head = "| class | AP at 0.50 | AP at 0.50–0.95 | held-out images | boxes in them |\n|---|---|---|---|---|\n"
    rest = len(manifest["per_class"]) - CLASSES_SHOWN
    more = f"\n\nand {rest:,} more, listed in `manifest.json`" if rest > 0 else ""
    unused = ", ".join(f"`{plain(name)}`" for name in manifest["dataset"]["unused_classes"][:CLASSES_SHOWN])
    note = f"\n\nWithout a box in the data, and so not learned: {unused}." if unused else ""
    return "## Classes\n\n" + head + "\n".join(rows) + more + note


def _running(manifest: dict[str, Any]) -> str:
    threshold = manifest["parameters"]["score_threshold"]
    notes = (
        "Each line of the CSV is one thing: file, class, score, and its box in pixels of the upright image. Things of "
        f"which the model is less sure than {threshold:g} are left out unless `--threshold` says otherwise. "
        "`load_model.py` gives the model to other programs. Both check every file against `manifest.json` first, which "
        "finds damage but not intent. The weights are safetensors, which run no code."
    )
    return how_to_run(manifest, "photos/ -o found.csv --draw drawn/", notes)


def _data(manifest: dict[str, Any]) -> str:
    data = manifest["dataset"]
    return (
        "## Data\n\n"
        f"{data['images']:,} images in {data['layout']} layout, {data['boxes']:,} boxes, "
        f"{data['images_without_boxes']:,} images without any; {data['size']:,} bytes, SHA-256 `{data['sha256']}`. "
        "Its licence is not known to this package."
    )


def _limits(manifest: dict[str, Any]) -> str:
    images = manifest["split"]["test_images"]
    width, height = manifest["network"]["canvas"]
    few = f" With {images:,} held-out images, the metrics are rough." if images < 100 else ""
    return (
        "## Limits\n\n"
        f"Images are scaled to fit {width} × {height} pixels: what is only a few pixels wide then is not found. Of "
        "things of one class whose middles all but coincide, one is found. It knows nothing but the images it learned "
        "from: where new ones come from another camera, place or season, measure it again before relying on it. "
        f"Pictures of one scene on both sides of the split make the metrics look better than they are.{few}"
    )
