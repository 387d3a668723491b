"""The key that signs download addresses, made once and kept beside the objects."""

import os
import secrets
import uuid
from contextlib import suppress
from pathlib import Path

from servicekit.durability import sync
from servicekit.errors import NotReady
from services.storage.adapters.local import files

KEY_BYTES = 32


class KeyDamaged(NotReady):
    """The file of the signing key is too short. Remove it: a new one is made, and addresses signed before end."""


def signing_key(root: Path) -> bytes:
    """Read the key, which only its owner may; make it first where there is none."""
    path = root / "signing.key"
    with files.disk_errors():
        if not path.exists():
            _make(path)
        key = path.read_bytes()
    if len(key) < KEY_BYTES:
        raise KeyDamaged
    return key


def _make(path: Path) -> None:
    draft = path.parent / ".incoming" / f"key-{uuid.uuid4().hex}"
    try:
        files.write_durably(draft, secrets.token_bytes(KEY_BYTES))
        with suppress(FileExistsError):  # another was quicker: its key counts
            os.link(draft, path)
        sync(path.parent)
    finally:
        draft.unlink(missing_ok=True)
