"""Reads zips that come from outside. Nothing is unpacked to disk under a name from the archive, and what an archive
claims is compared with what there is before much is read."""

import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from services.training.domain import errors

MOST_FILES = 500_000
MOST_BYTES = 64 * 2**30
MOST_MEMBER_BYTES = 256 * 2**20
# The list of contents is read as a whole before the files in it can be counted.
MOST_LIST_BYTES = 256 * MOST_FILES
# Images are compressed already; text may shrink to a hundredth of its size. What shrinks more was made to do harm.
MOST_RATIO, RATIO_BYTES = 200, 10 * 2**20
# Of the others, a few bytes may unpack to as many as they like before anybody can stop it.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1 | 0x40 | 0x2000
NAME_IS_UTF8 = 0x800
# An extra field with the name in UTF-8, beside one that is in another encoding: https://pkware.com/appnote, 4.6.9.
NAME_BESIDE, NAME_VERSION = 0x7075, 1

# What systems leave in archives that nobody put there, beside what is hidden: .DS_Store, .git, .ipynb_checkpoints.
LITTER = ("__MACOSX", "Thumbs.db", "desktop.ini", "Icon\r")
BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError, OSError)

# The last record of a zip, and the two that stand before it in a large one: https://pkware.com/appnote, 4.3.14–16.
BEGIN = b"PK"
END, END_LARGE, LOCATOR = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
END_BYTES, END_LARGE_BYTES, LOCATOR_BYTES, COMMENT_BYTES = 22, 56, 20, 0xFFFF
HEADER_BYTES = 30  # that stand before every file, at least


@dataclass(frozen=True)
class Member:
    """A file in an archive: its path in it, its size unpacked in bytes, and whether the encoding of its name had to be
    guessed."""

    path: PurePosixPath
    size: int
    is_guessed: bool = False


class Archive:
    """An archive that was found fit to read."""

    def __init__(self, opened: zipfile.ZipFile) -> None:
        self._opened = opened
        wanted = [entry for entry in opened.infolist() if _is_wanted(entry)]
        self._entries = {str(_path_of(entry)): entry for entry in wanted}
        if len(self._entries) < len(wanted):
            name, _ = Counter(str(_path_of(entry)) for entry in wanted).most_common(1)[0]
            raise errors.ArchiveBroken(trouble=f"it lists {name!r} more than once")
        self.members = [
            Member(PurePosixPath(name), entry.file_size, is_guessed=not _told_name(entry))
            for name, entry in sorted(self._entries.items())
        ]

    def read(self, path: PurePosixPath) -> bytes:
        """A whole member; threads may read at once. Raises ArchiveBroken where its bytes are damaged and ArchiveBomb
        where it is too large."""
        size = self._entries[str(path)].file_size
        if size > MOST_MEMBER_BYTES:
            raise errors.ArchiveBomb(trouble=f"{str(path)!r} holds more than {MOST_MEMBER_BYTES:,} bytes")
        # One more than there should be: the end, and with it the checksum, is only looked at when it is asked for.
        content = self.head(path, size + 1)
        if len(content) != size:
            raise errors.ArchiveBroken(
                trouble=f"{str(path)!r} says that it has {size:,} bytes, and has {len(content):,}"
            )
        return content

    def open(self, path: PurePosixPath) -> IO[bytes]:
        """A member to read piece by piece; raises what zipfile does where its bytes are damaged."""
        return self._opened.open(self._entries[str(path)])

    def head(self, path: PurePosixPath, size: int) -> bytes:
        """The first bytes of a member, so many or all there are. Raises ArchiveBroken."""
        try:
            with self.open(path) as member:
                return member.read(size)
        except BROKEN as error:
            raise errors.ArchiveBroken(trouble=f"{str(path)!r} cannot be read ({error})") from error


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """An archive for the block; an InvalidInput on `file` where it is none, or not fit to be read."""
    with _open(path) as archive:
        _check(archive, path.stat().st_size)
        yield Archive(archive)


def _open(path: Path) -> zipfile.ZipFile:
    try:
        size = _list_bytes(path)
        if MOST_LIST_BYTES < size <= path.stat().st_size:
            raise errors.ArchiveBomb(trouble=f"the list of its files has {size:,} bytes")
        return zipfile.ZipFile(path)
    except BROKEN as error:
        trouble = str(error) if _begins_as_one(path) else "it does not begin as one, and a table is for task general_ml"
        raise errors.ArchiveBroken(trouble=trouble) from error


def _begins_as_one(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(BEGIN)) == BEGIN


def _list_bytes(path: Path) -> int:
    """How long a zip says that the list of its contents is; 0 where it says nothing that could be read."""
    with path.open("rb") as file:
        start = max(0, path.stat().st_size - END_BYTES - COMMENT_BYTES - LOCATOR_BYTES)
        file.seek(start)
        tail = file.read()
        bare = tail[-END_BYTES:].startswith(END) and tail.endswith(b"\0\0")
        place = len(tail) - END_BYTES if bare else tail.rfind(END)
        if place < 0 or place + END_BYTES > len(tail):
            return 0
        size: int = struct.unpack_from("<L", tail, place + 12)[0]
        locator = place - LOCATOR_BYTES
        if locator >= 0 and tail.startswith(LOCATOR, locator):
            # Where it is found may differ by what was put before the archive; this is where the library looks, too.
            file.seek(max(0, start + locator - END_LARGE_BYTES))
            large = file.read(END_LARGE_BYTES)
            if large.startswith(END_LARGE) and len(large) == END_LARGE_BYTES:
                size = struct.unpack_from("<Q", large, 40)[0]
        return size


def _check(archive: zipfile.ZipFile, size: int) -> None:
    entries = archive.infolist()
    if len(entries) > MOST_FILES:
        raise errors.ArchiveBomb(trouble=f"it lists {len(entries):,} files, and at most {MOST_FILES:,} can be read")
    for entry in entries:
        _check_entry(entry)
    total, packed = sum(entry.file_size for entry in entries), sum(entry.compress_size for entry in entries)
    if total > MOST_BYTES:
        raise errors.ArchiveBomb(trouble=f"it unpacks to {total:,} bytes, and at most {MOST_BYTES:,} can be read")
    if total > RATIO_BYTES and total > MOST_RATIO * max(1, packed):
        raise errors.ArchiveBomb(trouble=f"{packed:,} bytes unpack to {total:,}")
    _check_places(entries, size)


def _check_places(entries: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse files that share their bytes."""
    places = sorted((entry.header_offset, entry.compress_size, entry.filename) for entry in entries)
    ends = [*(offset for offset, _, _ in places[1:]), size]
    for (offset, packed, name), end in zip(places, ends, strict=False):
        if offset < 0 or offset + HEADER_BYTES + packed > end:
            raise errors.ArchiveBomb(trouble=f"its files overlap, {name!r} and the next")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name, path = _name_of(entry), _path_of(entry)
    if path.is_absolute() or ".." in path.parts or "\0" in name or _names_a_drive(path):
        raise errors.ArchiveUnsafe(trouble=f"{name!r} names a place outside of the archive")
    if not path.parts and not name.endswith("/"):
        raise errors.ArchiveBroken(trouble="it lists a file without a name")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a link" if kind == stat.S_IFLNK else "neither a file nor a folder"
        raise errors.ArchiveUnsafe(trouble=f"{name!r} is {what}")
    if entry.flag_bits & ENCRYPTED:
        raise errors.ArchiveBroken(trouble=f"{name!r} is encrypted; save the archive without a password")
    if entry.compress_type not in METHODS:
        raise errors.ArchiveBroken(trouble=f"{name!r} is packed by method {entry.compress_type}, not deflate")


def _names_a_drive(path: PurePosixPath) -> bool:
    return bool(path.parts) and re.match("[A-Za-z]:", path.parts[0]) is not None


def _is_wanted(entry: zipfile.ZipInfo) -> bool:
    path = _path_of(entry)
    is_folder = _name_of(entry).endswith("/")
    return not is_folder and not any(part in LITTER or part.startswith(".") for part in path.parts)


def _path_of(entry: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(_name_of(entry))


def _name_of(entry: zipfile.ZipInfo) -> str:
    """An entry's name with slashes between folders, and composed, so that the same name is equal from everywhere. Where
    its encoding is not told, it is taken for that of the format, which has a letter for every byte."""
    name = _told_name(entry) or entry.orig_filename  # not cut at a zero byte
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def _told_name(entry: zipfile.ZipInfo) -> str:
    """An entry's name in UTF-8: as it is said to be, as another field gives it, or as it is, as macOS writes it without
    a word; "" where it is in another encoding."""
    if entry.flag_bits & NAME_IS_UTF8:
        return entry.orig_filename
    stored = entry.orig_filename.encode("cp437")
    return _name_beside(entry.extra, stored) or _as_utf8(stored)


def _name_beside(extra: bytes, stored: bytes) -> str:
    """The name in UTF-8 that an entry's extra fields give for the one that is stored; "" where they have none."""
    place = 0
    while place + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, place)
        place += 4 + size
        if kind == NAME_BESIDE:
            content = extra[place - size : place]
            marks = struct.pack("<BL", NAME_VERSION, zlib.crc32(stored))
            return _as_utf8(content.removeprefix(marks)) if content.startswith(marks) else ""
    return ""


def _as_utf8(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return ""
