"""What is known of an object, as metadata of its blob: names and values in ASCII, 8 KiB at most together."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from azure.storage.blob import ContentSettings

from servicekit.disposition import attachment
from servicekit.errors import InvalidInput
from services.storage.domain.errors import ObjectDamaged
from services.storage.domain.model import Access, Draft, ObjectName, StoredObject

MARK = "modelyard"
"""A blob without it in its metadata is no object of ours."""

MOST_TAGS = 10

_LAYOUT = "1"
_PLAIN = re.compile(r"[!-~]+( [!-~]+)*")
_ENCODED = "=utf8="
_MEDIA_TYPE = re.compile(r"[!-~]+/[!-~]+(; ?[!-~]+)*")
_TAG = re.compile(r"[A-Za-z0-9 +\-./:=_]{1,128}")


def encoded(stored: StoredObject) -> dict[str, str]:
    """The metadata of an object; what is empty is left out."""
    draft = stored.draft
    fields = {
        "owner": draft.owner,
        "content_type": draft.content_type,
        "file_name": draft.file_name,
        "request_id": draft.request_id,
        "access": draft.access.value,
        "expire_time": draft.expire_time.isoformat() if draft.expire_time else "",
        "tags": ",".join(draft.tags),
        "context": json.dumps(dict(draft.context), separators=(",", ":")) if draft.context else "",
        "size": str(stored.size),
        "sha256": stored.sha256,
        "create_time": stored.create_time.isoformat(),
    }
    return {MARK: _LAYOUT} | {name: _ascii(value) for name, value in fields.items() if value}


def decoded(metadata: Mapping[str, str], name: ObjectName, described: "Describe") -> StoredObject | None:
    """The object that metadata tells of; None when it tells of none. Fails with ObjectDamaged."""
    fields = {field.lower(): value for field, value in metadata.items()}
    if MARK not in fields:
        return None
    try:
        texts = {field: _text(value) for field, value in fields.items()}
        return described(
            _draft(name, texts),
            int(texts["size"]),
            texts["sha256"],
            datetime.fromisoformat(texts["create_time"]),
        )
    except (KeyError, ValueError, TypeError, AttributeError, InvalidInput) as error:
        raise ObjectDamaged(key=name.key, placement=name.placement) from error


Describe = Callable[[Draft, int, str, datetime], StoredObject]
"""Makes an object of a draft, its size, its checksum and its time of creation."""


def _draft(name: ObjectName, texts: Mapping[str, str]) -> Draft:
    expire_time, tags = texts.get("expire_time"), texts.get("tags")
    context: dict[str, Any] = json.loads(texts.get("context", "{}"))
    return Draft(
        name,
        texts.get("owner", ""),
        texts.get("content_type", ""),
        texts.get("file_name", ""),
        texts["request_id"],
        access=Access(texts["access"]),
        expire_time=datetime.fromisoformat(expire_time) if expire_time else None,
        tags=tuple(tags.split(",")) if tags else (),
        context=context,
    )


def kept(draft: Draft) -> Draft:
    """A draft without what concerns only its upload."""
    return replace(draft, staged_path="")


def _ascii(value: str) -> str:
    """Readable where it can be; a header loses spaces at its ends, and a signature does not bear two in a row."""
    if _PLAIN.fullmatch(value) and not value.startswith(_ENCODED):
        return value
    return _ENCODED + base64.urlsafe_b64encode(value.encode()).decode()


def _text(value: str) -> str:
    if not value.startswith(_ENCODED):
        return value
    return base64.urlsafe_b64decode(value.removeprefix(_ENCODED)).decode()


def content_settings(draft: Draft) -> ContentSettings:
    """How the blob is given to whoever reads it at Azure."""
    media_type = draft.content_type if _MEDIA_TYPE.fullmatch(draft.content_type) else "application/octet-stream"
    disposition = attachment(draft.file_name) if draft.file_name else None
    return ContentSettings(content_type=media_type, content_disposition=disposition)


def index_tags(draft: Draft) -> dict[str, str]:
    """What Azure can search by: of context and tags as many as it takes. All of them are in the metadata."""
    wanted = dict(draft.context) | dict.fromkeys(draft.tags, "true")
    fit = {name: value for name, value in wanted.items() if _TAG.fullmatch(name) and _TAG.fullmatch(value)}
    return dict(list(fit.items())[:MOST_TAGS])
