"""Reads zips that come from outside. Nothing is unpacked to disk under a name from the archive, and what an archive
claims is compared with what there is before much is read."""

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from services.training.domain import errors

MOST_FILES = 500_000
MOST_BYTES = 64 * 2**30
MOST_MEMBER_BYTES = 256 * 2**20
# Images are compressed already; text may shrink to a hundredth of its size. What shrinks more was made to do harm.
MOST_RATIO, RATIO_BYTES = 200, 10 * 2**20

# What systems leave in archives that nobody put there.
LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
DECLARED_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError, OSError)


@dataclass(frozen=True)
class Member:
    """A file in an archive: its path in it, and its size unpacked in bytes."""

    path: PurePosixPath
    size: int


class Archive:
    """An archive that was found fit to read."""

    def __init__(self, opened: zipfile.ZipFile) -> None:
        self._opened = opened
        self._entries = {str(_path_of(entry)): entry for entry in opened.infolist() if _is_wanted(entry)}
        self.members = [Member(PurePosixPath(name), entry.file_size) for name, entry in sorted(self._entries.items())]

    def read(self, path: PurePosixPath) -> bytes:
        """A whole member. Raises ArchiveBroken where its bytes are damaged and ArchiveBomb where it is too large."""
        entry = self._entries[str(path)]
        try:
            with self._opened.open(entry) as member:
                content = member.read(MOST_MEMBER_BYTES + 1)
        except DECLARED_BROKEN as error:
            raise errors.ArchiveBroken(trouble=f"{path} cannot be read ({error})") from error
        if len(content) > MOST_MEMBER_BYTES or len(content) > entry.file_size:
            raise errors.ArchiveBomb(trouble=f"{path} holds more than it says, or than {MOST_MEMBER_BYTES:,} bytes")
        return content


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """An archive for the block; an InvalidInput on `file` where it is none, or not fit to be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check(archive, path.stat().st_size)
            yield Archive(archive)
    except zipfile.BadZipFile as error:
        raise errors.ArchiveBroken(trouble=str(error)) from error


def _check(archive: zipfile.ZipFile, size: int) -> None:
    entries = archive.infolist()
    if len(entries) > MOST_FILES:
        raise errors.ArchiveBomb(trouble=f"it lists {len(entries):,} files, and at most {MOST_FILES:,} can be read")
    for entry in entries:
        _check_entry(entry)
    total, packed = sum(entry.file_size for entry in entries), sum(entry.compress_size for entry in entries)
    if total > MOST_BYTES:
        raise errors.ArchiveBomb(trouble=f"it unpacks to {total:,} bytes, and at most {MOST_BYTES:,} can be read")
    if packed > size:  # files that share their bytes
        raise errors.ArchiveBomb(trouble=f"its files overlap: {packed:,} bytes are listed, and it has {size:,}")
    if total > RATIO_BYTES and total > MOST_RATIO * max(1, packed):
        raise errors.ArchiveBomb(trouble=f"{packed:,} bytes unpack to {total:,}")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    path = _path_of(entry)
    # ZipInfo has cut the name at a zero byte and turned backslashes only where they part folders here.
    if path.is_absolute() or ".." in path.parts or "\0" in entry.orig_filename or _names_a_drive(path):
        raise errors.ArchiveUnsafe(trouble=f"{entry.filename!r} names a place outside of the archive")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise errors.ArchiveUnsafe(trouble=f"{entry.filename!r} is a link")
    if entry.flag_bits & 0x1:
        raise errors.ArchiveBroken(trouble=f"{entry.filename!r} is encrypted; save the archive without a password")


def _names_a_drive(path: PurePosixPath) -> bool:
    return bool(path.parts) and len(path.parts[0]) == 2 and path.parts[0][1] == ":"


def _path_of(entry: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(entry.filename.replace("\\", "/"))


def _is_wanted(entry: zipfile.ZipInfo) -> bool:
    path = _path_of(entry)
    return not entry.is_dir() and not any(part in LITTER or part.startswith("._") for part in path.parts)
