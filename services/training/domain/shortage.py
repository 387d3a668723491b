"""What a machine has too little of: how that shows, whatever library hears of it first."""

import errno
from collections.abc import Iterator

from servicekit.durability import no_space

MEMORY_WORDS = (
    "allocate memory", "out of memory", "bad_alloc", "thread creation failed", "failed to map segment",
    "error return without exception set",
)  # fmt: skip
"""What libraries say, in lower case, when they get no more memory; the last is Python itself, when it gets none for the
error."""
OF_A_GPU = "OutOfMemoryError"
"""PyTorch's name of an error, which not every installation has."""


def is_of_a_full_disk(error: BaseException) -> bool:
    """Whether something failed because a disk is full."""
    return any(map(no_space, _story(error)))


def is_of_short_memory(error: BaseException) -> bool:
    """Whether something failed because the process got no more memory."""
    return any(map(_is_of_short_memory, _story(error)))


def is_of_a_small_gpu(error: BaseException) -> bool:
    """Whether something failed because a graphics processor has no more memory."""
    return any(type(each).__name__ == OF_A_GPU for each in _story(error))


def tells_of_short_memory(log: str) -> bool:
    """Whether a process that ended without a word of its own had no more memory, by what its libraries wrote."""
    return any(words in log.lower() for words in MEMORY_WORDS)


def _is_of_short_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError | OSError | ImportError | SystemError) and tells_of_short_memory(str(error))


def _story(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those behind it: libraries have errors of their own for what the system said."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
