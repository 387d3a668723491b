"""Tells the C allocator to keep the memory of chunks and use it again; by default each is mapped and unmapped anew.

On a byte stream that is worth about half of its speed, and keeps memory flat. The numbers are glibc's, of malloc.h.
"""

import ctypes

ARENA_MAX, MMAP_THRESHOLD, TRIM_THRESHOLD = -8, -3, -1
MIB = 2**20


def reuse_chunks() -> None:
    """Keep freed chunks. To be called before the first thread starts; does nothing where there is no glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for option, value in ((ARENA_MAX, 1), (MMAP_THRESHOLD, MIB), (TRIM_THRESHOLD, 8 * MIB)):
        mallopt(option, value)
