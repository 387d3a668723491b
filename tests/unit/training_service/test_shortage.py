"""What is taken for a full disk, and for too little memory."""

import errno
import os
import sys
from pathlib import Path

import pytest

from servicekit.durability import full_disk_as
from services.training import worker
from services.training.domain.errors import DiskFull, PackageBroken
from services.training.domain.messages import Refusal
from services.training.domain.shortage import (
    is_of_a_small_gpu,
    is_of_short_memory,
    tells_of_short_memory,
)


class OutOfMemoryError(RuntimeError):
    """As PyTorch's, which is of a graphics processor."""


def caused(error: Exception, cause: Exception) -> Exception:
    """An error as it is when it was raised from another one."""
    error.__cause__ = cause
    return error


TORCH = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 14470 bytes. Error code 12")
UNMAPPED = RuntimeError("unable to mmap 1954864 bytes from file </weights.safetensors>: Cannot allocate memory (12)")


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (MemoryError(), True),
        (TORCH, True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (ImportError("libgomp.so.1: failed to map segment from shared object"), True),
        (caused(PackageBroken(trouble="it cannot be read"), UNMAPPED), True),
        (caused(ValueError("it failed"), MemoryError()), True),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (SystemError("error return without exception set"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("the text says out of memory"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
    ],
)
def test_too_little_memory_is_known_whoever_says_so(error: Exception, short: bool):
    """M.8: PyTorch and the loader of libraries have errors of their own for it."""
    assert is_of_short_memory(error) is short


def test_a_graphics_processor_has_a_memory_of_its_own():
    """M.8: the limit that is set is not what was met."""
    assert is_of_a_small_gpu(caused(ValueError("it failed"), OutOfMemoryError("CUDA out of memory")))
    assert not is_of_a_small_gpu(TORCH)


@pytest.mark.parametrize(
    ("log", "short"),
    [
        ("terminate called after throwing an instance of 'std::bad_alloc'", True),
        ("libgomp: Thread creation failed: Resource temporarily unavailable", True),
        ("python: cannot allocate memory for thread-local data: ABORT", True),
        ("Traceback (most recent call last):\nKeyError: 'a'", False),
        ("", False),
    ],
)
def test_what_ended_a_process_is_in_its_log(log: str, short: bool):
    """M.8: it had no more memory even for a sentence."""
    assert tells_of_short_memory(log) is short


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_as_one(code: int):
    """M.8: of the service's own files, too."""
    with pytest.raises(DiskFull), full_disk_as(DiskFull):
        raise OSError(code, os.strerror(code))
    with pytest.raises(PermissionError), full_disk_as(DiskFull):
        raise PermissionError


def test_a_full_disk_is_told_though_the_log_is_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """M.8: what went wrong is written there, too."""

    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(worker, "_do", fill)
    monkeypatch.setattr(sys.stderr, "write", fill)
    said = worker._outcome("", tmp_path, None, 0)
    monkeypatch.undo()

    assert isinstance(said, Refusal)
    assert (said.reason, said.family) == ("DISK_FULL", "Exhausted")


@pytest.mark.parametrize(
    ("error", "memory_bytes", "reason"),
    [
        (TORCH, 2**30, "MEMORY_LIMIT"),
        (TORCH, 0, "WORKER_DIED"),
        (OutOfMemoryError("CUDA out of memory"), 2**30, "GPU_MEMORY"),
    ],
)
def test_a_training_says_which_memory_was_too_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, memory_bytes: int, reason: str
):
    """M.8: a repeat helps only where the machine may have more another time."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(worker, "_do", fail)
    said = worker._outcome("", tmp_path, None, memory_bytes)

    assert isinstance(said, Refusal)
    assert said.reason == reason
