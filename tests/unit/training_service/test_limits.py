"""What a worker may take, and who lives in its folder."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from services.training.adapters import limits, ray_janitor
from services.training.adapters.limits import Limits, Seats, Watch, may_spin, readable, share_of_memory, takes_more
from services.training.adapters.tenants import evict, tenants_of
from services.training.domain.errors import MemoryLimit, TimeLimit

MIB = 1024 * 1024
SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def sleeper(tmp_path):
    """A process whose home is in tmp_path, in a session of its own."""
    environment = {**os.environ, "HOME": f"{tmp_path}/tmp"}
    with subprocess.Popen([sys.executable, "-c", SLEEP], env=environment, start_new_session=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (256 * MIB, "256 MiB"), (2**41, "2048 GiB")],
)
def test_sizes_are_said_as_people_do(size, words):
    assert readable(size) == words


def test_every_worker_has_processors_of_its_own_while_there_are_enough():
    available = os.sched_getaffinity(0)
    seats = Seats(1)
    taken = [seats.seat() for _ in available]
    groups = [one.__enter__() for one in taken]
    with seats.seat() as surplus:
        nothing_left = surplus == []
    for one in taken:
        one.__exit__(None, None, None)
    with seats.seat() as again:
        reused = len(again)

    assert sorted(sum(groups, [])) == sorted(available)
    assert nothing_left
    assert reused == 1


def test_without_threads_nobody_is_kept_to_processors():
    with Seats(0).seat() as seat:
        assert seat == []


@pytest.mark.parametrize(
    ("told", "spins"),
    [
        ("some avg10=0.42 avg60=40.00 avg300=1.00 total=7\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=0\n", True),
        ("some avg10=61.30 avg60=1.00 avg300=1.00 total=7\n", False),
        ("something else\n", False),
        (None, False),
    ],
)
def test_threads_sleep_while_they_wait_unless_nobody_else_wants_their_processors(tmp_path, monkeypatch, told, spins):
    monkeypatch.setattr(limits, "PRESSURE", tmp_path / "cpu")
    if told is not None:
        (tmp_path / "cpu").write_text(told)

    assert may_spin([0, 1]) is spins
    assert not may_spin([])


def test_a_share_of_the_memory_leaves_a_tenth(tmp_path, monkeypatch):
    """A container may take less than its machine has."""
    monkeypatch.setattr(limits, "CONTAINER_LIMIT", tmp_path / "memory.max")
    whole = share_of_memory(1)
    (tmp_path / "memory.max").write_text("max\n")
    unlimited = share_of_memory(1)
    (tmp_path / "memory.max").write_text(f"{100 * MIB}\n")

    assert whole == unlimited == int(psutil.virtual_memory().total * 0.9)
    assert share_of_memory(2) == 45 * MIB


def test_memory_is_counted_over_a_whole_session(sleeper):
    deadline = time.monotonic() + 20
    while not takes_more(sleeper.pid, MIB) and time.monotonic() < deadline:
        time.sleep(0.05)  # until it is there

    assert takes_more(sleeper.pid, MIB)
    assert not takes_more(sleeper.pid, 2**40)


@pytest.mark.parametrize(
    ("given", "reason"), [(Limits(memory_bytes=MIB), MemoryLimit), (Limits(seconds=0.1), TimeLimit)]
)
def test_what_takes_too_much_is_ended(sleeper, given, reason):
    with Watch(sleeper.pid, given, sleeper.kill).watching() as watch:
        sleeper.wait(20)

    assert isinstance(watch.exceeded, reason)


def test_without_limits_nothing_is_ended(sleeper):
    with Watch(sleeper.pid, Limits(), sleeper.kill).watching() as watch:
        time.sleep(0.5)

    assert watch.exceeded is None
    assert sleeper.poll() is None


def test_who_lives_in_a_folder_is_found_and_evicted(sleeper, tmp_path):
    deadline = time.monotonic() + 20
    while sleeper.pid not in tenants_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)  # it has our environment until it has become what it shall be
    neighbours = evict(tmp_path / "other")
    evicted = evict(tmp_path)

    assert (neighbours, evicted) == (0, 1)
    assert sleeper.wait(20) == -9


def test_a_janitor_removes_the_folder_when_its_room_is_gone(tmp_path):
    folder = tmp_path / "model_training_x"
    (folder / "tmp").mkdir(parents=True)
    command = [sys.executable, "-m", "services.training.adapters.ray_janitor", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as janitor:
        began = janitor.stdout.readline()
        while_used = folder.exists()
        janitor.stdin.close()
        janitor.stdout.read()

    assert began == b"\n"
    assert while_used
    assert not folder.exists()


def test_a_sweep_removes_what_has_no_janitor_and_is_not_new(tmp_path):
    old, new, other = (tmp_path / name for name in ("model_training_old", "model_training_new", "other"))
    for folder in (old, new, other):
        folder.mkdir()
    for folder in (old, other):
        os.utime(folder, (0, 0))
    ray_janitor.sweep(tmp_path, "model_training_")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["model_training_new", "other"]
