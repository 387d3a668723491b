"""The four dependency rules hold because breaking one fails `make lint`."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

VIOLATIONS = {
    "1. a servicer that knows an adapter": ("services/storage/servicer.py", "import services.storage.adapters.memory"),
    "1. an adapter that knows the servicer": (
        "services/storage/adapters/memory.py",
        "import services.storage.servicer",
    ),
    "1. an adapter that speaks protobuf": ("services/metadata/adapters/sql.py", "import services.metadata.converters"),
    "1. a domain that knows its converters": (
        "services/training/domain/model.py",
        "import services.training.converters",
    ),
    "2. a domain that knows gRPC": ("services/storage/domain/model.py", "import grpc"),
    "2. a domain that knows a message": ("services/metadata/domain/errors.py", "import modelyard.common.v1.table_pb2"),
    "2. a domain that knows a driver": ("services/metadata/domain/errors.py", "import sqlalchemy"),
    "3. a service that knows another": ("services/training/converters.py", "import services.storage.converters"),
    "3. a gateway that knows a service": ("gateway/rendering.py", "import services.metadata.domain.errors"),
    "3. a client that knows a service": ("client/modelyard/client.py", "import services.training.domain.model"),
    "4. a servicekit that knows a service": ("servicekit/errors.py", "import services.storage.domain.errors"),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of all that the rules are about."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("services", "servicekit", "gateway", "gen", "client"):
        shutil.copytree(ROOT / name, copy / name)
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """Run the same check as `make lint`, on a tree.

    Without -S the installed folders of our packages would be on the path besides, and either may be looked at.
    """
    path = os.pathsep.join([*(str(tree / part) for part in (".", "gen", "client")), sysconfig.get_path("purelib")])
    check = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    environment = os.environ | {"PYTHONPATH": path}
    command = [sys.executable, "-S", "-c", check, "--no-cache"]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


def test_the_tree_as_it_is_keeps_the_rules(tree: Path):
    checked = lint(tree)

    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("case", VIOLATIONS)
def test_a_violation_fails(tree: Path, case: str):
    file, statement = VIOLATIONS[case]
    path = tree / file
    sound = path.read_text()
    path.write_text(f"{sound}\n{statement}\n")
    try:
        checked = lint(tree)
    finally:
        path.write_text(sound)

    assert checked.returncode == 1, checked.stdout
    assert "BROKEN" in checked.stdout
