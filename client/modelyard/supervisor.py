"""Keeps child processes running, and leaves none behind."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 10.0
STEADY_SECONDS = 30.0
"""A child that lived for this long starts again without a longer wait."""


@dataclass(frozen=True)
class Child:
    """One process to keep running."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    """Besides our own environment."""
    log: Path | None = None
    """File for its output, written on; our own output when there is none."""
    keep_open: Sequence[int] = ()
    """Descriptors that it holds on to as long as it lives."""


class Supervisor:
    """Starts children in order, starts those again that die, and stops all in the opposite order.

    A child has a session of its own, so that a Ctrl-C in the terminal reaches it through us, and its standard input
    is a pipe that ends when we do: a child that watches it stops even when we are killed.
    """

    def __init__(self, children: Sequence[Child], say: Callable[[str], None], stop_seconds: float) -> None:
        self._keepers = [_Keeper(child, say, stop_seconds) for child in children]

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self.stop)
            for keeper in self._keepers:
                keeper.start()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop every child: SIGTERM, and SIGKILL for one that takes too long. Returns when all are gone."""
        for keeper in reversed(self._keepers):
            keeper.stop()

    def pids(self) -> dict[str, int]:
        """The process of every child that runs now."""
        return {keeper.child.name: keeper.pid for keeper in self._keepers if keeper.pid}

    def deaths(self) -> dict[str, int]:
        """Exit status of the last death of every child that has died; negative is the number of a signal."""
        return {keeper.child.name: keeper.died_with for keeper in self._keepers if keeper.died_with is not None}


class _Keeper:
    """Keeps one child running, in a thread of its own."""

    def __init__(self, child: Child, say: Callable[[str], None], stop_seconds: float) -> None:
        self.child = child
        self.died_with: int | None = None
        self._say = say
        self._stop_seconds = stop_seconds
        self._stopping = threading.Event()
        self._changing = threading.Lock()  # between starting a process and deciding to stop
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name=f"keeper of {child.name}", daemon=True)

    @property
    def pid(self) -> int:
        """Its process, 0 when none runs."""
        process = self._process
        return process.pid if process and process.poll() is None else 0

    def start(self) -> None:
        """Start the child; raises OSError when that is impossible."""
        self._process = self._spawn()
        self._thread.start()

    def stop(self) -> None:
        """Stop the child and whatever is left in its session."""
        with self._changing:
            self._stopping.set()
            process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(self._stop_seconds)
        except subprocess.TimeoutExpired:
            self._say(f"{self.child.name} did not stop within {self._stop_seconds:g} s and is killed.")
        _end_session(process.pid)
        process.wait()
        self._thread.join()

    def _keep(self) -> None:
        delay = FIRST_DELAY_SECONDS
        while self._process is not None:
            process, started = self._process, time.monotonic()
            status = process.wait()
            if self._stopping.is_set():
                return
            self.died_with = status
            _close_input(process)
            _end_session(process.pid)
            if time.monotonic() - started > STEADY_SECONDS:
                delay = FIRST_DELAY_SECONDS
            self._say(f"{self.child.name} {_how(status)}; it starts again in {delay:g} s.")
            self._stopping.wait(delay)
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)
            self._restart()

    def _restart(self) -> None:
        """Start the child again, unless it is to stop; tries until the system lets us."""
        while True:
            with self._changing, suppress(OSError):
                self._process = None if self._stopping.is_set() else self._spawn()
                return
            self._say(f"{self.child.name} cannot be started just now; another attempt in {LONGEST_DELAY_SECONDS:g} s.")
            self._stopping.wait(LONGEST_DELAY_SECONDS)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with ExitStack() as closing:
            output = closing.enter_context(self.child.log.open("ab")) if self.child.log else None
            return subprocess.Popen(  # noqa: S603 — the commands are our own
                self.child.argv,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**os.environ, **self.child.env},
                pass_fds=self.child.keep_open,
                start_new_session=True,
            )


def _close_input(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        with suppress(BrokenPipeError):
            process.stdin.close()


def _end_session(leader: int) -> None:
    """Kill what is left of a child's process group: what it started must not outlive it."""
    with suppress(ProcessLookupError, PermissionError):  # gone; or, on macOS, a zombie
        os.killpg(leader, signal.SIGKILL)


def _how(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
