"""Hashes passwords with bcrypt."""

import asyncio
import os

import bcrypt

ROUNDS = 12
"""Doublings of the work: about a quarter of a second each time."""
SIGNIFICANT = 72
"""Bytes that bcrypt looks at. Others' programs cut longer passwords there, and their hashes stay good here."""


class Bcrypt:
    """Passwords as bcrypt keeps them, which is how accounts were kept before there was this service.

    It is done in threads, few at a time: it is meant to be slow, and leaves the interpreter alone meanwhile.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(os.cpu_count() or 1)

    async def hash(self, password: str) -> str:
        """A hash with a salt of its own."""
        async with self._turn:
            return (await asyncio.to_thread(bcrypt.hashpw, password.encode(), bcrypt.gensalt(ROUNDS))).decode()

    async def verify(self, password: str, kept: str) -> bool:
        """Whether a hash is that of a password; for an empty one that of nothing is taken, which takes as long."""
        against = kept or f"$2b${ROUNDS:02}${'.' * 53}"
        async with self._turn:
            same = await asyncio.to_thread(bcrypt.checkpw, password.encode()[:SIGNIFICANT], against.encode())
        return same and bool(kept)
