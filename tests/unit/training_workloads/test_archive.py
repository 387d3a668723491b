"""Archives from outside: what is sound is read, and what was made to do harm is refused before it does any."""

import io
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import pytest

from services.training.adapters.contents import inspect_archive
from services.training.domain import errors
from services.training.workloads.kit import archive as archives
from services.training.workloads.kit.archive import opened


def packed(tmp_path: Path, *files: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = tmp_path / "some.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return path


def with_facts(name: str, **facts: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    for fact, value in facts.items():
        setattr(entry, fact, value)
    return entry


def changed(path: Path, **facts: int) -> Path:
    """The archive with facts of its first entry changed in the list of contents, where the library looks."""
    places = {"flags": (8, "<H"), "method": (10, "<H"), "crc": (16, "<L"), "packed": (20, "<L"), "size": (24, "<L")}
    content = bytearray(path.read_bytes())
    start = content.index(b"PK\x01\x02")
    for fact, value in facts.items():
        place, how = places[fact]
        struct.pack_into(how, content, start + place, value)
    path.write_bytes(content)
    return path


def read(path: Path, name: str) -> bytes:
    with opened(path) as archive:
        return archive.read(PurePosixPath(name))


def test_files_are_read_by_their_paths(tmp_path):
    """Folders, what is hidden, and what systems leave behind, are no members; backslashes part folders."""
    litter = ["__MACOSX/a/._1.png", "a/.DS_Store", "a/Thumbs.db", "a/._2.png", "a/Icon\r"]
    litter += [".ipynb_checkpoints/1.png", "a/.ipynb_checkpoints/1-checkpoint.png", ".git/config", "a\\.hidden.png"]
    files = [("a/", b""), ("a/1.png", b"one"), ("b\\2.png", b"two"), ("./3.png", b"three")]
    files += [(name, b"litter") for name in litter]
    path = packed(tmp_path, *files)
    with opened(path) as archive:
        members = [(str(member.path), member.size) for member in archive.members]

    assert members == [("3.png", 5), ("a/1.png", 3), ("b/2.png", 3)]
    assert read(path, "b/2.png") == b"two"


def renamed(path: Path, before: bytes, after: bytes) -> Path:
    """The archive with a name of as many bytes in the place of another, without a word on its encoding."""
    path.write_bytes(path.read_bytes().replace(before, after))
    return path


def listed(path: Path) -> list[str]:
    with opened(path) as archive:
        return [str(member.path) for member in archive.members]


@pytest.mark.parametrize(
    ("stored", "name", "is_guessed"),
    [
        ("Café".encode(), "Café", False),
        ("Cafe\N{COMBINING ACUTE ACCENT}".encode(), "Café", False),
        ("猫".encode(), "猫", False),
        (b"K\x94ln", "Köln", True),
        (b"cats", "cats", False),
    ],
    ids=["UTF-8", "UTF-8 of macOS", "UTF-8 in Japanese", "of DOS", "ASCII"],
)
def test_names_are_those_that_people_gave(tmp_path, stored, name, is_guessed):
    """000.12: many programs write UTF-8 and do not say so; what is none is in the encoding of the format."""
    path = renamed(packed(tmp_path, ("#" * len(stored) + "/1.png", b"one")), b"#" * len(stored), stored)
    with opened(path) as archive:
        members = [(str(member.path), member.is_guessed) for member in archive.members]

    assert members == [(f"{name}/1.png", is_guessed)]
    assert read(path, f"{name}/1.png") == b"one"
    assert [folder.path for folder in inspect_archive(path).folders] == [name]


def test_a_name_is_composed_wherever_it_comes_from(tmp_path):
    """000.12: a folder train of one system and a folder test of another have the same classes."""
    parted = "Cafe\N{COMBINING ACUTE ACCENT}"

    assert listed(packed(tmp_path, ("train/Café", b"one"), (f"test/{parted}", b"two"))) == ["test/Café", "train/Café"]
    with pytest.raises(errors.ArchiveBroken, match="'Café' more than once"):
        listed(packed(tmp_path, ("Café", b"one"), (parted, b"two")))


def beside(stored: bytes, name: str) -> bytes:
    """An extra field that gives a name in UTF-8 for the one that is stored."""
    content = struct.pack("<BL", 1, zlib.crc32(stored)) + name.encode()
    return struct.pack("<HH", 0x7075, len(content)) + content


@pytest.mark.parametrize(
    ("extra", "name"),
    [
        (beside(b"\x94L", "猫"), "猫"),
        (struct.pack("<HH", 0xCAFE, 0) + beside(b"\x94L", "猫"), "猫"),
        (beside(b"of another", "猫"), "öL"),
        (struct.pack("<HH", 0x7075, 2) + b"\1\0", "öL"),
    ],
    ids=["alone", "behind another", "not of this name", "too short"],
)
def test_a_name_that_stands_beside_another_encoding_is_taken(tmp_path, extra, name):
    """000.12: so some programs write names in Japanese or Chinese."""
    assert listed(renamed(packed(tmp_path, (with_facts("##", extra=extra), b"one")), b"##", b"\x94L")) == [name]


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "C:\\evil", "a\0b"])
def test_a_name_beside_another_leads_nowhere_else(tmp_path, name):
    path = packed(tmp_path, (with_facts("a.png", extra=beside(b"a.png", name)), b"x"))

    with pytest.raises(errors.ArchiveUnsafe, match="outside of the archive"):
        listed(path)


def nameless(path: Path) -> Path:
    """The archive with no name for its first file, whose letter is taken for an extra field."""
    content = bytearray(path.read_bytes())
    struct.pack_into("<HH", content, content.index(b"PK\x03\x04") + 26, 0, 1)
    struct.pack_into("<HH", content, content.index(b"PK\x01\x02") + 28, 0, 1)
    path.write_bytes(content)
    return path


def test_a_file_without_a_name_is_refused(tmp_path):
    """000.12: wherever the archive is opened."""
    with pytest.raises(errors.ArchiveBroken, match="it lists a file without a name"):
        inspect_archive(nameless(packed(tmp_path, ("a", b"one"), ("b", b"two"))))


def test_the_head_of_a_file_is_read_alone(tmp_path):
    path = packed(tmp_path, ("long", b"0123456789" * 1000))
    with opened(path) as archive:
        head = archive.head(PurePosixPath("long"), 12)

    assert head == b"012345678901"


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/passwd", "\\\\server\\share", "C:\\evil", "c:evil", "a\\..\\..\\evil"]
)
def test_a_name_outside_of_the_archive_is_refused(tmp_path, name):
    with pytest.raises(errors.ArchiveUnsafe, match="outside of the archive"), opened(packed(tmp_path, (name, b"x"))):
        pass


def test_a_name_with_a_zero_byte_is_refused(tmp_path):
    path = packed(tmp_path, ("a/good.png#../x", b"x"))
    path.write_bytes(path.read_bytes().replace(b"#", b"\0"))

    with pytest.raises(errors.ArchiveUnsafe), opened(path):
        pass


@pytest.mark.parametrize("mode", [0o120777, 0o010644, 0o060644, 0o140644], ids=["link", "pipe", "device", "socket"])
def test_what_is_no_plain_file_is_refused(tmp_path, mode):
    path = packed(tmp_path, (with_facts("a/1.png", external_attr=mode << 16), b"/etc/passwd"))

    with pytest.raises(errors.ArchiveUnsafe), opened(path):
        pass


def test_an_encrypted_archive_is_refused_with_advice(tmp_path):
    path = changed(packed(tmp_path, ("a/1.png", b"one")), flags=1)

    with pytest.raises(errors.ArchiveBroken, match="encrypted; save the archive without a password"), opened(path):
        pass


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 93])
def test_a_way_of_packing_that_cannot_be_stopped_midway_is_refused(tmp_path, method):
    """A few bytes of bzip2 or LZMA become gigabytes in one step, whatever the archive says of their size."""
    if method == 93:
        path = changed(packed(tmp_path, ("a", b"one")), method=93)
    else:
        path = packed(tmp_path, ("a", b"one"), method=method)

    with pytest.raises(errors.ArchiveBroken, match="packed by method"), opened(path):
        pass


def test_a_bomb_is_refused_by_its_ratio(tmp_path):
    path = packed(tmp_path, ("zeros.png", bytes(32 * 2**20)))

    with pytest.raises(errors.ArchiveBomb, match="unpack to 33,554,432"), opened(path):
        pass


def test_a_bomb_is_refused_by_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_BYTES", 100)
    path = packed(tmp_path, ("a", bytes(60)), ("b", bytes(60)))

    with pytest.raises(errors.ArchiveBomb, match="at most 100"), opened(path):
        pass


def test_a_bomb_is_refused_by_the_number_of_its_files(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_FILES", 2)
    path = packed(tmp_path, *[(str(number), b"") for number in range(3)])

    with pytest.raises(errors.ArchiveBomb, match="it lists 3 files"), opened(path):
        pass


@pytest.mark.parametrize("large", [False, True], ids=["small", "zip64"])
def test_a_bomb_is_refused_by_the_length_of_its_list_before_that_is_read(tmp_path, monkeypatch, large):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 0 if large else 65535)
    path = packed(tmp_path, *[(str(number), b"") for number in range(9)])
    monkeypatch.setattr(archives, "MOST_LIST_BYTES", 9 * 46)

    with pytest.raises(errors.ArchiveBomb, match="the list of its files"), opened(path):
        pass
    assert (b"PK\x06\x06" in path.read_bytes()) == large


def test_files_that_share_their_bytes_are_refused(tmp_path):
    """A second entry that points to the first one's bytes would count them twice."""
    content = packed(tmp_path, ("a", b"x" * 500), ("b", b"y" * 500)).read_bytes()
    first, second = content.index(b"PK\x01\x02"), content.rindex(b"PK\x01\x02")
    both = bytearray(content)
    both[second + 42 : second + 46] = both[first + 42 : first + 46]
    path = tmp_path / "overlaps.zip"
    path.write_bytes(both)

    with pytest.raises(errors.ArchiveBomb, match="overlap"), opened(path):
        pass


def test_files_that_overlap_in_part_are_refused_whatever_stands_beside_them(tmp_path):
    path = packed(tmp_path, ("a", b"x" * 500), ("b", b"y" * 500), ("padding", bytes(range(256)) * 99), method=0)
    changed(path, packed=900, size=900)

    with pytest.raises(errors.ArchiveBomb, match="'a' and the next"), opened(path):
        pass


def test_a_file_that_holds_more_than_it_says_is_not_read_on(tmp_path):
    """The size that counted when the archive was judged is the size that is read."""
    path = changed(packed(tmp_path, ("a", bytes(5 * 2**20))), size=10)

    with pytest.raises(errors.ArchiveBroken, match="'a' cannot be read"):
        read(path, "a")


def test_a_file_that_holds_less_than_it_says_is_broken(tmp_path):
    path = changed(packed(tmp_path, ("a", b"x" * 100)), size=200)

    with pytest.raises(errors.ArchiveBroken):
        read(path, "a")


def test_a_damaged_file_is_broken(tmp_path):
    path = changed(packed(tmp_path, ("a", b"x" * 100)), crc=1)

    with pytest.raises(errors.ArchiveBroken, match="CRC"):
        read(path, "a")


def test_a_member_beyond_all_measure_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_MEMBER_BYTES", 99)
    path = packed(tmp_path, ("a", bytes(100)))

    with pytest.raises(errors.ArchiveBomb, match="'a' holds more than 99"):
        read(path, "a")


def test_a_name_that_is_listed_twice_is_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        path = packed(tmp_path, ("a/1.png", b"one"), ("a/1.png", b"another"))

    with pytest.raises(errors.ArchiveBroken, match="more than once"), opened(path):
        pass


def test_what_is_no_zip_is_refused(tmp_path):
    path = tmp_path / "no.zip"
    for content in (b"", b"no zip", b"PK\x05\x06", b"\x89PNG" + bytes(1000), b"PK\x05\x06" + b"\xff" * 18):
        path.write_bytes(content)

        with pytest.raises(errors.ArchiveBroken), opened(path):
            pass


def test_every_archive_that_was_cut_short_is_refused(tmp_path):
    whole = packed(tmp_path, ("a/1.png", b"one"), ("b/2.png", b"two" * 50)).read_bytes()
    path = tmp_path / "cut.zip"
    for length in range(0, len(whole) - 1, 3):
        path.write_bytes(whole[:length])

        with pytest.raises(errors.ArchiveBroken), opened(path):
            pass


def test_whatever_byte_is_wrong_only_declared_errors_come_out(tmp_path):
    """Each byte of an archive changed in turn: it is read as it is, or refused with a sentence."""
    whole = packed(tmp_path, ("a/1.png", b"one" * 20), ("b/2.png", b"two")).read_bytes()
    path, outcomes = tmp_path / "changed.zip", set()
    for place in range(len(whole)):
        for value in (0, 0xFF, whole[place] ^ 1):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                with opened(path) as archive:
                    outcomes.add(sum(len(archive.read(member.path)) for member in archive.members))
            except (errors.ArchiveBroken, errors.ArchiveUnsafe, errors.ArchiveBomb) as error:
                outcomes.add(type(error).__name__)

    assert {63, "ArchiveBroken", "ArchiveBomb"} <= outcomes


def test_an_archive_behind_other_bytes_is_read(tmp_path):
    """Some programs put something of their own before the archive."""
    path = packed(tmp_path, ("a", b"one"))
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())

    assert read(path, "a") == b"one"


def test_an_empty_archive_has_no_members(tmp_path):
    content = io.BytesIO()
    zipfile.ZipFile(content, "w").close()
    (tmp_path / "empty.zip").write_bytes(content.getvalue())
    with opened(tmp_path / "empty.zip") as archive:
        members = archive.members

    assert members == []
