"""The supervisor with small real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from modelyard import supervisor
from modelyard.supervisor import Child, Supervisor

SETTLE_SECONDS = 60.0

# Notes its process, then waits for SIGTERM or for the end of standard input, and says which it was.
POLITE = """
import os, pathlib, signal, sys, threading
note = pathlib.Path(sys.argv[1])
def stop(why):
    with open(str(note) + ".end", "a") as file:
        file.write(f"{note.name} {why}\\n")
    os._exit(0)
signal.signal(signal.SIGTERM, lambda *_: stop("SIGTERM"))
note.with_suffix(".tmp").write_text(str(os.getpid()))
note.with_suffix(".tmp").replace(note)
threading.Thread(target=lambda: (sys.stdin.buffer.read(), stop("EOF")), daemon=True).start()
while True:
    signal.pause()
"""
DEAF = POLITE.replace('lambda *_: stop("SIGTERM")', "signal.SIG_IGN")
# Starts a process of its own that would run for ever, notes that one, and dies.
PARENT = """
import pathlib, subprocess, sys, time
orphan = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
note = pathlib.Path(sys.argv[1])
note.with_suffix(".tmp").write_text(str(orphan.pid))
note.with_suffix(".tmp").replace(note)
time.sleep(600)
"""
UNDER_SUPERVISION = """
import sys, time
from pathlib import Path
from modelyard.supervisor import Child, Supervisor
with Supervisor([Child("child", [sys.executable, "-c", sys.argv[1], sys.argv[2]])], lambda _: None, 30):
    time.sleep(600)
"""


def child(name: str, note: Path, script: str = POLITE, **more) -> Child:
    return Child(name, [sys.executable, "-c", script, str(note)], **more)


def until(what) -> object:
    """What a function answers once it is true."""
    give_up = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < give_up:
        if answer := what():
            return answer
        time.sleep(0.02)
    raise TimeoutError


def pid_in(note: Path) -> int:
    return until(lambda: note.exists() and int(note.read_text()))


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_DELAY_SECONDS", 0.05)


def test_a_child_that_is_killed_starts_again_and_one_line_says_so(tmp_path):
    said = []
    note = tmp_path / "a"
    with Supervisor([child("a", note)], said.append, 30) as running:
        first = pid_in(note)
        note.unlink()
        os.kill(first, signal.SIGKILL)
        second = pid_in(note)

        assert second != first
        assert running.pids() == {"a": second}
        assert running.deaths() == {"a": -9}
        assert said == ["a was ended by SIGKILL; it starts again in 0.05 s."]

    assert gone(second)


def test_the_wait_doubles_for_a_child_that_keeps_dying(tmp_path):
    said = []
    with Supervisor([Child("a", [sys.executable, "-c", "raise SystemExit(3)"])], said.append, 30):
        until(lambda: len(said) >= 3)

    assert [line.split("again in ")[1] for line in said[:3]] == ["0.05 s.", "0.1 s.", "0.2 s."]
    assert said[0].startswith("a ended with status 3")


def test_all_are_stopped_the_last_one_first(tmp_path):
    notes = [tmp_path / name for name in ("a", "b", "c")]
    script = POLITE.replace('str(note) + ".end"', 'str(note.parent / "ends")')
    with Supervisor([child(note.name, note, script) for note in notes], lambda _: None, 30):
        pids = [pid_in(note) for note in notes]

    assert (tmp_path / "ends").read_text().splitlines() == ["c SIGTERM", "b SIGTERM", "a SIGTERM"]
    assert all(map(gone, pids))


def test_a_child_that_does_not_stop_in_time_is_killed(tmp_path):
    said = []
    note = tmp_path / "deaf"
    with Supervisor([child("deaf", note, DEAF)], said.append, 0.3):
        pid = pid_in(note)

    assert gone(pid)
    assert said == ["deaf did not stop within 0.3 s and is killed."]


def test_what_a_dead_child_had_started_goes_with_it(tmp_path):
    note = tmp_path / "parent"
    with Supervisor([child("parent", note, PARENT)], lambda _: None, 30) as running:
        orphan = pid_in(note)
        os.kill(running.pids()["parent"], signal.SIGKILL)

        assert until(lambda: gone(orphan))


def test_children_end_when_their_supervisor_is_killed(tmp_path):
    note = tmp_path / "a"
    supervising = subprocess.Popen([sys.executable, "-c", UNDER_SUPERVISION, POLITE, str(note)])
    pid = pid_in(note)

    supervising.kill()
    supervising.wait()

    assert until(lambda: gone(pid))
    assert Path(f"{note}.end").read_text() == "a EOF\n"


def test_output_goes_to_the_log_of_the_child(tmp_path):
    log = tmp_path / "a.log"
    script = "import sys; print('out', flush=True); print('err', file=sys.stderr, flush=True); sys.stdin.read()"
    with Supervisor([Child("a", [sys.executable, "-c", script], log=log)], lambda _: None, 30):
        until(lambda: log.exists() and log.read_text() == "out\nerr\n")

    assert log.read_text() == "out\nerr\n"


def test_if_one_child_cannot_be_started_at_all_the_others_are_stopped(tmp_path):
    note = tmp_path / "a"
    children = [child("a", note), Child("b", [str(tmp_path / "no such program")])]

    with pytest.raises(FileNotFoundError), Supervisor(children, lambda _: None, 30):
        raise AssertionError("it started")

    assert not note.exists() or gone(pid_in(note))
