"""Looks into stored datasets, in the worker process: tables and archives."""

from collections import Counter
from pathlib import Path

from services.training.domain.inspection import ArchiveContents, ArchiveFolder, Inspection
from services.training.domain.model import TableFormat
from services.training.domain.sniffing import is_archive
from services.training.workloads.kit import archive
from services.training.workloads.kit.suffixes import SUFFIXES

FOLDERS_TOLD, DOCUMENTS_TOLD = 1000, 100
HEAD_BYTES = 1024


def inspect(data: Path, scratch: Path, known: TableFormat | None, sample_size: int) -> Inspection:
    """What is in a dataset; an InvalidInput on `file` where it is neither a table nor an archive."""
    with data.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not known and is_archive(head):
        return Inspection(TableFormat(), [], 0, [], inspect_archive(data))
    # Here, because it brings pandas, and only tables need it.
    from services.training.adapters.tables import inspect_table

    return inspect_table(data, scratch, known, sample_size)


def inspect_archive(data: Path) -> ArchiveContents:
    """What an archive lists; an InvalidInput on `file` where it is broken or unsafe."""
    with archive.opened(data) as found:
        members = found.members
    images = [member.path for member in members if member.path.suffix.lower() in SUFFIXES]
    folders = Counter("" if path.parent.name == "" else str(path.parent) for path in images)
    others = sorted({str(member.path) for member in members} - {str(path) for path in images})
    return ArchiveContents(
        file_count=len(members),
        image_count=len(images),
        unpacked_size=sum(member.size for member in members),
        folders=[ArchiveFolder(path, count) for path, count in folders.most_common(FOLDERS_TOLD)],
        documents=others[:DOCUMENTS_TOLD],
    )
