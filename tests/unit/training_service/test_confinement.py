"""A worker writes to its own folder only. In a process of its own, since an audit hook stays."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, shutil, sys, tempfile
from pathlib import Path
from services.training.adapters.confinement import confine
inside, outside = Path(sys.argv[1]), Path(sys.argv[2])
os.chdir(inside)
confine(inside)
{action}
"""

ALLOWED = [
    "(inside / 'file').write_text('x'); (inside / 'file').rename(inside / 'other')",
    "Path('relative').mkdir(); shutil.rmtree('relative')",
    "(outside / 'present').read_text()",
    "open(os.devnull, 'w').close()",
    "tempfile.TemporaryFile(dir=inside).close()",
]
REFUSED = [
    "(outside / 'file').write_text('x')",
    "open(outside / 'present', 'a')",
    "os.open(outside / 'file', os.O_CREAT)",
    "(outside / 'folder').mkdir()",
    "(outside / 'present').unlink()",
    "Path('file').write_text('x'); os.rename('file', outside / 'file')",
    "os.rename(outside / 'present', 'file')",
    "os.symlink(outside, 'link'); Path('link/file').write_text('x')",
    "Path('../outside/file').write_text('x')",
]


def run(tmp_path: Path, action: str) -> subprocess.CompletedProcess[str]:
    for name in ("inside", "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / "outside" / "present").touch()
    command = [sys.executable, "-c", PROGRAM.format(action=action), str(tmp_path / "inside"), str(tmp_path / "outside")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("action", ALLOWED)
def test_what_stays_inside_is_allowed(tmp_path: Path, action: str):
    assert run(tmp_path, action).stderr == ""


@pytest.mark.parametrize("action", REFUSED)
def test_what_goes_outside_is_refused(tmp_path: Path, action: str):
    ended = run(tmp_path, action)

    assert "PermissionError: a worker writes only to its own folder" in ended.stderr
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["present"]
