"""The header that offers bytes as a file to be saved."""

import re
from urllib.parse import quote

_NOT_PLAIN = re.compile(r"[^ !#-\[\]-~]|[%;]")


def attachment(file_name: str) -> str:
    """Content-Disposition in ASCII, whatever the name (RFC 6266): some programs read the plain form alone."""
    plain = _NOT_PLAIN.sub("_", file_name)
    disposition = f'attachment; filename="{plain}"'
    return disposition if plain == file_name else f"{disposition}; filename*=UTF-8''{quote(file_name, safe='')}"
