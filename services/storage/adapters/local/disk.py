"""The local backend's work on its disk. Everything here blocks: it is called in threads."""

import fcntl
import os
import re
import shutil
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from servicekit import scratch
from servicekit.durability import sync
from servicekit.logging import get_logger
from services.storage.adapters.local import files, records
from services.storage.adapters.local.layout import Place, keys_in
from services.storage.domain.errors import (
    BackendFull,
    BackendUnreachable,
    ObjectDamaged,
    ObjectExists,
    ObjectNotFound,
    StagedFileUnknown,
)
from services.storage.domain.model import Draft, ObjectName, StoredObject

# A folder can vanish between its making and the publishing in it, when the last object beside is deleted just then.
_PUBLISH_ATTEMPTS = 100
_STAGED = "staged-"
_STAGED_SECONDS = 3600
_STAGED_FILE = "bytes"
_OFFERED = re.compile(rf"{_STAGED}[0-9a-f]{{32}}/{_STAGED_FILE}")

log = get_logger()


class Disk:
    """A root folder. What is not yet, or no longer, an object lies in `.incoming` below it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.incoming = root / ".incoming"

    def hold(self) -> BinaryIO:
        """Make the root ours alone until the returned file is closed, and clear what a killed process left."""
        with files.disk_errors():
            self.incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
            held = (self.root / ".lock").open("wb")
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                held.close()
                raise BackendUnreachable(backend=files.NAME, why="another process serves the same folder") from error
            scratch.sweep(self.incoming)
            return held

    def unused(self, prefix: str = "") -> Path:
        """A path that nobody else knows, for a file or folder to come."""
        return self.incoming / f"{prefix}{uuid.uuid4().hex}"

    def stage(self) -> Path:
        """A new folder with an empty file, for somebody else to write to; clears those that nobody came back for."""
        for folder in self.incoming.glob(f"{_STAGED}*"):
            with suppress(FileNotFoundError):  # its upload has begun this moment
                if time.time() - folder.stat().st_mtime > _STAGED_SECONDS:
                    scratch.remove(folder)
        folder = self.unused(_STAGED)
        folder.mkdir(mode=0o700)
        path = folder / _STAGED_FILE
        path.touch(mode=0o600)
        return path.absolute()

    def claim(self, staged: str, folder: Path, data_name: str) -> Path:
        """Take over the file of a stage as an upload's own, under a new name; its writer's handle stays good."""
        incoming = f"{self.incoming.absolute()}/"
        if not staged.startswith(incoming) or not _OFFERED.fullmatch(staged.removeprefix(incoming)):
            raise StagedFileUnknown
        path = Path(staged)
        try:
            path.parent.rename(folder)
            (folder / path.name).rename(folder / data_name)
        except FileNotFoundError as error:
            raise StagedFileUnknown from error
        return folder / data_name

    def data_path(self, name: ObjectName) -> Path:
        """Where an object's bytes are."""
        place = Place.of(self.root, name)
        return (place.folder / place.data_name).absolute()

    def publish(self, folder: Path, draft: Draft, size: int, sha256: str) -> StoredObject:
        """Make a folder with an object's bytes, durable already, that object. Fails with ObjectExists."""
        stored = records.described(draft, size, sha256, datetime.now(UTC).isoformat())
        files.write_durably(folder / records.RECORD_FILE, records.encoded(stored))
        sync(folder)
        place = Place.of(self.root, draft.name)
        self._move_in(folder, place, draft.name)
        files.sync_names(place.folder.parent)
        return stored

    def _move_in(self, folder: Path, place: Place, name: ObjectName) -> None:
        for attempt in range(_PUBLISH_ATTEMPTS):
            try:
                if attempt:
                    files.make_folders(place.folder.parent, below=self.root)
                folder.rename(place.folder)  # fails over a folder that is not empty, which an object never is
            except FileNotFoundError:
                continue
            except OSError:
                if not place.folder.exists():
                    raise
                raise ObjectExists(key=name.key, placement=name.placement) from None
            else:
                return
        raise BackendUnreachable(backend=files.NAME, why="its folders vanish while they are made")

    def stat(self, name: ObjectName) -> StoredObject:
        """Describe an object."""
        folder = Place.of(self.root, name).folder
        try:
            record = (folder / records.RECORD_FILE).read_bytes()
        except FileNotFoundError as error:
            raise ObjectNotFound(key=name.key, placement=name.placement) from error
        if (stored := records.decoded(record, name)) is None:
            raise ObjectNotFound(key=name.key, placement=name.placement)
        return stored

    def page(self, placement: str, prefix: str, after: str, limit: int) -> list[StoredObject]:
        """The first objects after a key; what is deleted while we look is left out, and what is damaged."""
        found: list[StoredObject] = []
        for key in keys_in(self.root / placement, prefix, after):
            try:
                found.append(self.stat(ObjectName(placement, key)))
            except ObjectNotFound:
                continue
            except ObjectDamaged as damage:  # one must not hide all others
                log.warning("left out of a list", why=damage.message)
            if len(found) == limit:
                break
        return found

    def open(self, name: ObjectName) -> tuple[StoredObject, BinaryIO]:
        """An object and its bytes, both of the same moment, though it be deleted and made anew while we open it."""
        try:
            folder = os.open(Place.of(self.root, name).folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError as error:
            raise ObjectNotFound(key=name.key, placement=name.placement) from error
        try:
            return self._open_in(folder, name)
        finally:
            os.close(folder)

    def _open_in(self, folder: int, name: ObjectName) -> tuple[StoredObject, BinaryIO]:
        def opener(path: str, flags: int) -> int:
            return os.open(path, flags, dir_fd=folder)

        try:
            with open(records.RECORD_FILE, "rb", opener=opener) as record:
                stored = records.decoded(record.read(), name)
            data = open(Place.of(self.root, name).data_name, "rb", opener=opener)  # noqa: SIM115 — the reader closes it
        except FileNotFoundError as error:  # deleted this moment
            raise ObjectNotFound(key=name.key, placement=name.placement) from error
        if stored is None or os.fstat(data.fileno()).st_size != stored.size:
            data.close()
            wrong = ObjectNotFound if stored is None else ObjectDamaged
            raise wrong(key=name.key, placement=name.placement)
        return stored, data

    def delete(self, name: ObjectName) -> int:
        """Take an object away in one step, then remove what it was; a damaged one goes as well."""
        with suppress(ObjectDamaged):
            self.stat(name)
        place = Place.of(self.root, name)
        gone = self.unused()
        try:
            place.folder.rename(gone)
        except FileNotFoundError as error:
            raise ObjectNotFound(key=name.key, placement=name.placement) from error
        files.sync_names(place.folder.parent)
        data = gone / place.data_name
        size = data.stat().st_size if data.exists() else 0
        shutil.rmtree(gone)
        files.prune(place.folder.parent, below=place.bucket)
        return size

    def probe(self) -> None:
        """Write a small file to the platter and remove it."""
        path = self.unused("probe-")
        try:
            files.write_durably(path, b"still here")
        finally:
            path.unlink(missing_ok=True)
        space = os.statvfs(self.root)
        if not space.f_bavail:
            raise BackendFull(backend=files.NAME)
