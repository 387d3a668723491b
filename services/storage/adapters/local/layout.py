"""Where an object lies below the root, and the order in which objects lie there.

An object is one folder, `<bucket>/<segment>/…/<last segment>@`, that holds its bytes and its record, so that one
rename publishes it and one rename removes it. "@" never comes from a key: "a" and "a/b" can both be objects.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.storage.domain.keys import original, portable, wrong_with_key
from services.storage.domain.model import ObjectName

MARK = "@"


@dataclass(frozen=True)
class Place:
    """The folder of one object."""

    bucket: Path
    folder: Path
    data_name: str

    @classmethod
    def of(cls, root: Path, name: ObjectName) -> "Place":
        """Where an object of this name lies."""
        *folders, leaf = map(portable, name.key.split("/"))
        bucket = root / name.placement
        return cls(bucket, bucket.joinpath(*folders, leaf + MARK), leaf)


def keys_in(bucket: Path, prefix: str, after: str) -> Iterator[str]:
    """Keys that start with prefix and come after a key, in the order of their UTF-8 bytes.

    Holds the names of one folder a level at a time, never those of the whole bucket.
    """
    *whole, _ = prefix.split("/")
    base = "".join(segment + "/" for segment in whole)
    return _walk(bucket.joinpath(*map(portable, whole)), base, prefix, after)


def _walk(folder: Path, base: str, prefix: str, after: str) -> Iterator[str]:
    for label in sorted(_labels(folder)):  # code points sort as their UTF-8 bytes do
        path = base + label
        if label.endswith("/"):
            if _may_hold(path, prefix, after):
                yield from _walk(folder / portable(label[:-1]), path, prefix, after)
        elif path.startswith(prefix) and path > after:
            yield path


def _may_hold(path: str, prefix: str, after: str) -> bool:
    fits = path.startswith(prefix) or prefix.startswith(path)
    return fits and (path > after or after.startswith(path))


def _labels(folder: Path) -> list[str]:
    """The segments in a folder; those that go on below end in "/", so that they sort where their keys do.

    Files that are not ours are passed over.
    """
    try:
        names = [entry.name for entry in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    labels = ((original(name.removesuffix(MARK)), name) for name in names)
    return [
        segment if name.endswith(MARK) else segment + "/"
        for segment, name in labels
        if portable(segment) == name.removesuffix(MARK) and not wrong_with_key(segment)
    ]
