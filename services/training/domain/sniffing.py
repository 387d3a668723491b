"""Tells from the first bytes of a file whether it is a table, and how to read it."""

import codecs
import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import charset_normalizer

from services.training.domain import errors
from services.training.domain.alphabets import find_latin_encoding
from services.training.domain.model import TableFormat

MINIMUM_ROWS = 4
# What is told of so many fits into a message.
MAXIMUM_COLUMNS = 20_000
DELIMITERS = (",", ";", "\t", "|")
# Neither a decimal comma, nor one of a sentence.
PARTING_COMMA = re.compile(r"(?!(?<=\d),\d+(?![.\d])),(?! )")
END_OF_FILE = "\x1a"
"""What programs of DOS wrote behind the last line."""
SCORED_ROWS = 100
DETECTED_BYTES = 64 * 1024
# None of these bytes is part of a character in an encoding of several bytes.
FIELD_ENDS = re.compile(rb'[,;\t\r\n"]+')
# The library knows more, and finds two or three short words in one of those.
LIKELY_ENCODINGS = [
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp874", "cp866", "koi8_r"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
]
TOLERATED_CHAOS, TOLERATED_COHERENCE = 0.1, 0.2
"""By how much the usual encoding may read worse than the best, by charset_normalizer's measures from 0 to 1."""

# The first bytes of files that people take for a table, or rename to .csv.
MAGIC = {
    b"PK\x03\x04": "it is a zip archive or an Excel workbook",
    b"PK\x05\x06": "it is an empty zip archive",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "it is an old Excel workbook",
    b"\x1f\x8b": "it is compressed with gzip",
    b"BZh": "it is compressed with bzip2",
    b"\xfd7zXZ\x00": "it is compressed with xz",
    b"\x28\xb5\x2f\xfd": "it is compressed with zstandard",
    b"PAR1": "it is a Parquet file",
    b"ARROW1": "it is an Arrow file",
    b"%PDF": "it is a PDF document",
    b"\x89PNG\r\n\x1a\n": "it is a PNG image",
    b"\xff\xd8\xff": "it is a JPEG image",
    b"GIF8": "it is a GIF image",
    b"SQLite format 3\x00": "it is an SQLite database",
    b"\x89HDF\r\n\x1a\n": "it is an HDF5 file",
}

# The longer marks first: that of UTF-32 begins with that of UTF-16.
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

CONTROL_CHARACTERS = frozenset(chr(code) for code in range(32)) - frozenset("\t\n\r\f" + END_OF_FILE)

# How texts begin that are no table, and that a program would read as one with odd names.
PAGE = re.compile(r"\s*<(?:!doctype\b|html\b|table\b|!--)", re.IGNORECASE)
OTHER_TEXTS = {
    PAGE: "it is a web page",
    re.compile(r"\s*<\?xml\b"): "it is an XML document",
    re.compile(r'\s*[\[{][\s\[{]*"'): "it is JSON",
}


# The first entry of every document of an office suite, which is a zip archive, too.
OFFICE_ENTRIES = (b"[Content_Types].xml", b"mimetype", b"_rels/")
ZIP_MAGIC, ZIP_NAME_AT = b"PK\x03\x04", 30


def is_archive(head: bytes) -> bool:
    """Whether a file starts as a zip archive does; NotText for an office document."""
    if not head.startswith(ZIP_MAGIC):
        return False
    if head[ZIP_NAME_AT:].startswith(OFFICE_ENTRIES):
        raise errors.NotText(evidence="it is an Excel workbook or another office document")
    return True


def is_page(head: bytes) -> bool:
    """Whether a file starts as a web page does."""
    return bool(PAGE.match(head.decode("utf-8-sig", "replace")))


@dataclass(frozen=True)
class SniffedTable:
    """How to read a table, its column names in order, and the data rows seen."""

    format: TableFormat
    column_names: list[str]
    row_count: int


def sniff(head: bytes, complete: bool, known: TableFormat | None = None) -> SniffedTable:
    """Find out how to read a table and check what can be seen of it; an InvalidInput on `file` where it is none.

    The head of an incomplete file may end anywhere, even inside a character. What is known of its format is not
    guessed.
    """
    if not head.strip():
        raise errors.EmptyFile(minimum=MINIMUM_ROWS)
    text, encoding = _decode(head, complete, known.encoding if known else None)
    delimiter = (known.delimiter if known else "") or find_delimiter(text)
    names, row_count = _check_rows(text, delimiter, complete)
    return SniffedTable(TableFormat(delimiter, encoding), names, row_count)


# Text.


def _decode(head: bytes, complete: bool, encoding: str | None) -> tuple[str, str]:
    encoding = encoding or find_encoding(head, complete)
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head, complete)
    except (UnicodeError, LookupError) as error:
        raise errors.NotText(evidence=f"it is not encoded in {encoding}") from error
    text = text.lstrip("\ufeff")
    if complete:
        text = text.rstrip(END_OF_FILE + "\r\n")
    if not text.strip():
        raise errors.EmptyFile(minimum=MINIMUM_ROWS)
    for beginning, evidence in OTHER_TEXTS.items():
        if beginning.match(text):
            raise errors.NotText(evidence=evidence)
    if CONTROL_CHARACTERS.intersection(text):
        raise errors.NotText(evidence="it holds control characters, as only binary files do")
    return text, encoding


def find_encoding(head: bytes, complete: bool) -> str:
    """Name of the encoding of a text; NotText where the bytes are none."""
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return encoding
    for magic, evidence in MAGIC.items():
        if head.startswith(magic):
            raise errors.NotText(evidence=evidence)
    if b"\0" in head:
        raise errors.NotText(evidence="it holds zero bytes, as only binary files do")
    return "utf-8" if _is_utf8(head, complete) else _find_legacy_encoding(head)


def _is_utf8(head: bytes, complete: bool) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, complete)
    except UnicodeDecodeError:
        return False
    return True


def _find_legacy_encoding(head: bytes) -> str:
    first = next(position for position, byte in enumerate(head) if byte > 127)
    looked_at = head[max(0, first - 1024) : first + DETECTED_BYTES]
    if latin := find_latin_encoding(looked_at):
        return latin
    # Statistics take a few words that repeat in every row for no text at all.
    matches = charset_normalizer.from_bytes(looked_at) or charset_normalizer.from_bytes(
        _words(looked_at), cp_isolation=LIKELY_ENCODINGS
    )
    best = matches.best()
    if best is None:
        raise errors.NotText(evidence="its bytes are text in no encoding that is known")
    # A few letters fit many encodings. The one that most programs write wins, unless it reads clearly worse.
    western = next((match for match in matches if "cp1252" in match.could_be_from_charset), None)
    if western is None:
        return best.encoding
    as_clean = western.chaos <= best.chaos + TOLERATED_CHAOS
    as_coherent = western.coherence >= best.coherence - TOLERATED_COHERENCE
    return "cp1252" if as_clean and as_coherent else best.encoding


def _words(content: bytes) -> bytes:
    """The fields with bytes beyond ASCII, each once."""
    fields = FIELD_ENDS.split(content)
    whole = fields[:-1] or fields  # the last may be cut
    return b"\n".join(dict.fromkeys(field for field in whole if not field.isascii())) or content


# Rows.


def find_delimiter(text: str) -> str:
    """The delimiter by which the first rows have as many fields as the header; a comma where none has.

    Commas may stand as evenly within what another delimiter parts: in prices, and in names such as `Price, EUR`.
    """
    scores = {delimiter: _consistency(text, delimiter) for delimiter in DELIMITERS}
    best = max(DELIMITERS, key=lambda delimiter: scores[delimiter])
    if best != ",":
        return best
    even = [delimiter for delimiter in DELIMITERS[1:] if scores[delimiter][0] >= scores[","][0] > 0]
    rivals = [delimiter for delimiter in even if _holds_commas(text, delimiter)]
    return max(rivals, key=lambda delimiter: scores[delimiter], default=best)


def _holds_commas(text: str, delimiter: str) -> bool:
    """Whether the commas in the fields of the first rows are all decimal ones, or those of sentences."""
    rows = itertools.islice(_read_leniently(text, delimiter), SCORED_ROWS)
    return not any(PARTING_COMMA.search(cell) for _, row in rows for cell in row)


def _consistency(text: str, delimiter: str) -> tuple[float, int]:
    counts = [len(row) for _, row in itertools.islice(_read_leniently(text, delimiter), SCORED_ROWS)]
    if not counts or counts[0] < 2:
        return 0.0, 0
    alike = Counter(counts)[counts[0]] / len(counts)
    return round(alike, 1), counts[0]


def _read_leniently(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    try:
        yield from read_rows(text, delimiter)
    except csv.Error:
        return


def read_rows(text: str, delimiter: str, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Rows of a text that are not blank, each with the number of its last line; csv.Error where one cannot be read."""
    lines = io.StringIO(text.lstrip("\ufeff"), newline="")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=strict)
    for row in reader:
        if len(row) > 1 or (row and row[0].strip()):
            yield reader.line_num, row


def _check_rows(text: str, delimiter: str, complete: bool) -> tuple[list[str], int]:
    rows = _whole_rows(text, delimiter, complete)
    names = _first_row(rows, complete)
    row_count = 0
    for line, row in rows:
        if len(row) > len(names):
            trouble = f"it has {len(row):,} fields, and the header names {len(names):,} columns"
            raise errors.UnreadableRow(line=line, trouble=trouble)
        row_count += 1
    if complete:
        _check_count(row_count)
    return names, row_count


def _first_row(rows: Iterator[tuple[int, list[str]]], complete: bool) -> list[str]:
    for _, header in rows:
        return check_header(header)
    if complete:
        raise errors.NoHeader(evidence="it is blank")
    raise errors.UnreadableRow(line=1, trouble="it is longer than the part of the file that is looked at")


def _whole_rows(text: str, delimiter: str, complete: bool) -> Iterator[tuple[int, list[str]]]:
    """The rows of a text; the last one of an incomplete text, which may be cut, is left out."""
    held: tuple[int, list[str]] | None = None
    line = 0
    try:
        for numbered in read_rows(text, delimiter):
            if held:
                yield held
            held = numbered
            line = numbered[0]
    except csv.Error as error:
        trouble = "a value in it is too long; a quotation mark may not be closed"
        raise errors.UnreadableRow(line=line + 1, trouble=trouble) from error
    if held and complete:
        _check_closed(text, delimiter)
        yield held


def _check_closed(text: str, delimiter: str) -> None:
    """A quotation mark that is never closed swallows the rest of the file; the strict reader tells."""
    line = 0
    try:
        for numbered in read_rows(text, delimiter, strict=True):
            line = numbered[0]
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            trouble = "a value begins with a quotation mark that is never closed"
            raise errors.UnreadableRow(line=line + 1, trouble=trouble) from error


def _are_positions(header: list[str]) -> bool:
    """Whether a header counts its columns, from 0 or 1, as programs do that know no names."""
    return len(header) > 1 and any(header == [str(first + place) for place in range(len(header))] for first in (0, 1))


def check_header(header: list[str]) -> list[str]:
    """Names of the columns, stripped; a nameless one is named for its place, as pandas does."""
    if len(header) > MAXIMUM_COLUMNS:
        raise errors.TooManyColumns(found=f"{len(header):,}", limit=f"{MAXIMUM_COLUMNS:,}")
    if not any(name.strip() for name in header):
        raise errors.NoHeader(evidence="every cell in it is empty")
    if header[0].strip().lower().startswith("sep=") and not any(name.strip() for name in header[1:]):
        raise errors.NoHeader(evidence=f"{header[0].strip()!r} only tells spreadsheets how fields are parted")
    if all(_is_number(name) for name in header) and not _are_positions(header):
        raise errors.NoHeader(evidence="every cell in it is a number")
    names = [name.strip() or f"Unnamed: {place}" for place, name in enumerate(header)]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise errors.DuplicateColumns(names=_enumerate(repeated))
    return names


def _enumerate(names: list[str], limit: int = 5) -> str:
    rest = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(repr(name) for name in names[:limit]) + rest


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().replace(",", "."))
    except ValueError:
        return False
    return "_" not in cell


def _check_count(row_count: int) -> None:
    if row_count == 0:
        raise errors.NoRows(minimum=MINIMUM_ROWS)
    if row_count < MINIMUM_ROWS:
        raise errors.TooFewRows(found=row_count, which="of data", minimum=MINIMUM_ROWS)
