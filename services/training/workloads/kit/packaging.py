"""Packages a trained model as a zip that runs on its own: every file is listed with its SHA-256 in manifest.json."""

import json
import os
import platform
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any

from services.training.domain.model import TrainingSpec
from services.training.workloads.kit.fingerprints import fingerprint

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
BLOCK_BYTES = 1024 * 1024
SHARED = "services.training.workloads.kit.templates"
"""Where programs are that more than one kind of package has."""


def opening_facts(spec: TrainingSpec, library_versions: Mapping[str, str]) -> dict[str, Any]:
    """What every manifest begins with, whatever the workload."""
    return {
        "format_version": FORMAT_VERSION,
        "workload": spec.workload,
        "training_id": spec.training_id,
        "model_name": spec.model_name or spec.training_id,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "python_version": platform.python_version(),
        "library_versions": dict(library_versions),
    }


def copy_programs(package: Path, programs: Mapping[str, str]) -> None:
    """Put programs into a folder, each from the package of ours that holds it."""
    for name, source in programs.items():
        (package / name).write_bytes(files(source).joinpath(name).read_bytes())


def write_package(package: Path, manifest: dict[str, Any], card: str, artifact: Path) -> None:
    """Complete a folder that holds a model and its programs, and zip it; the zip appears when it is whole and on disk.

    Adds requirements.txt, README.md (the card) and manifest.json, which lists every other file.
    """
    (package / "requirements.txt").write_text(_require(manifest["library_versions"]), encoding="utf-8")
    (package / "README.md").write_text(card, encoding="utf-8")
    manifest = without_nan(manifest) | {"files": {name: _weigh(path) for name, path in _walk(package)}}
    (package / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False), encoding="utf-8")
    _zip(package, artifact)


def without_nan(value: Any) -> Any:
    """The same without numbers that JSON does not have: they become null."""
    if isinstance(value, dict):
        return {name: without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _require(versions: Mapping[str, str]) -> str:
    """The exact versions, since a saved model need not load with any other. A build's own mark ("+cpu") is left out:
    package indexes do not have it."""
    lines = [f"# Python {platform.python_version()}"]
    lines += [f"{name}=={number.split('+')[0]}" for name, number in versions.items()]
    return "\n".join(lines) + "\n"


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """All files in a folder, by name, in one order everywhere."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    yield from sorted(paths.items())


def _weigh(path: Path) -> dict[str, Any]:
    return {"sha256": fingerprint(path), "size": path.stat().st_size}


def _zip(folder: Path, artifact: Path) -> None:
    partial = artifact.with_suffix(".partial")
    with partial.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, path in _walk(folder):
                _add(archive, name, path)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(artifact)


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    entry = zipfile.ZipInfo.from_file(path, name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    with path.open("rb") as source, archive.open(entry, "w") as target:
        shutil.copyfileobj(source, target, BLOCK_BYTES)
