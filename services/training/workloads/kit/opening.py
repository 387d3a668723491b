"""Opens a package: unpacks it and checks every file of it before anything is loaded."""

import json
import zipfile
from pathlib import Path
from typing import Any

from services.training.domain.errors import PackageBroken
from services.training.workloads.kit.fingerprints import fingerprint
from services.training.workloads.kit.packaging import FORMAT_VERSION, MANIFEST


def unpack(archive: Path, folder: Path) -> dict[str, Any]:
    """Unpack a package into a new folder; its manifest. PackageBroken where it is not what was packaged."""
    try:
        with zipfile.ZipFile(archive) as package:
            manifest: dict[str, Any] = json.loads(package.read(MANIFEST))
            # First: another release may describe its files in another way.
            if manifest.get("format_version") != FORMAT_VERSION:
                raise PackageBroken(trouble="it is of another release")
            _check_contents(package, manifest)
            package.extractall(folder)
        _check_files(folder, manifest)
    except (zipfile.BadZipFile, ValueError, KeyError) as error:
        raise PackageBroken(trouble=str(error)) from error
    return manifest


def _check_contents(package: zipfile.ZipFile, manifest: dict[str, Any]) -> None:
    """Compare names and sizes before a byte is unpacked."""
    described = manifest["files"]
    names, sizes = set(package.namelist()), sum(entry.file_size for entry in package.infolist())
    expected = sum(each["size"] for each in described.values()) + package.getinfo(MANIFEST).file_size
    if names != {*described, MANIFEST} or sizes != expected:
        raise PackageBroken(trouble="it holds other files than its manifest says")


def _check_files(folder: Path, manifest: dict[str, Any]) -> None:
    for name, expected in manifest["files"].items():
        if fingerprint(folder / name) != expected["sha256"]:
            raise PackageBroken(trouble=f"{name} is not the file that was packaged: its SHA-256 differs")
