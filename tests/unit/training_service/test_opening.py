"""Packages that are opened to predict with."""

import json
import zipfile
from pathlib import Path

import pytest

from services.training.domain.errors import PackageBroken
from services.training.workloads.kit.opening import unpack


def test_a_package_of_another_release_is_called_that_however_it_describes_its_files(tmp_path: Path):
    """M.5: what its manifest says is read by the rules of this release only where it is of this release."""
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as package:
        package.writestr("manifest.json", json.dumps({"format_version": 2, "entries": ["model.bin"]}))
        package.writestr("model.bin", b"model")

    with pytest.raises(PackageBroken, match="another release"):
        unpack(tmp_path / "package.zip", tmp_path / "package")
    assert not (tmp_path / "package").exists()
