"""What is kept beside an object's bytes, as JSON."""

import json
from datetime import datetime
from typing import Any
from urllib.parse import quote

from servicekit.errors import InvalidInput
from services.storage.adapters.local.files import NAME
from services.storage.domain.errors import ObjectDamaged
from services.storage.domain.model import Access, Draft, ObjectName, StoredObject

# Keys cannot bring forth an "@" in a file name, so that no object's bytes can have this name.
RECORD_FILE = "@object.json"


def encoded(stored: StoredObject) -> bytes:
    """The record of an object."""
    draft = stored.draft
    fields = {
        "placement": draft.name.placement,
        "key": draft.name.key,
        "owner": draft.owner,
        "content_type": draft.content_type,
        "file_name": draft.file_name,
        "request_id": draft.request_id,
        "access": draft.access,
        "expire_time": draft.expire_time and draft.expire_time.isoformat(),
        "tags": draft.tags,
        "context": dict(draft.context),
        "size": stored.size,
        "sha256": stored.sha256,
        "create_time": stored.create_time.isoformat(),
    }
    return json.dumps(fields, ensure_ascii=False, indent=1).encode()


def decoded(record: bytes, name: ObjectName) -> StoredObject | None:
    """The object a record tells of; None when it tells of another, as a file system blind to case may do."""
    try:
        fields: dict[str, Any] = json.loads(record)
        if (fields["placement"], fields["key"]) != (name.placement, name.key):
            return None
        return described(_draft(name, fields), fields["size"], fields["sha256"], fields["create_time"])
    except (ValueError, KeyError, TypeError, AttributeError, InvalidInput) as error:
        raise ObjectDamaged(key=name.key, placement=name.placement) from error


def _draft(name: ObjectName, fields: dict[str, Any]) -> Draft:
    expire_time = fields.get("expire_time")
    return Draft(
        name,
        fields["owner"],
        fields["content_type"],
        fields["file_name"],
        fields["request_id"],
        access=Access(fields.get("access", Access.SIGNED)),
        expire_time=datetime.fromisoformat(expire_time) if expire_time else None,
        tags=tuple(fields.get("tags", ())),
        context=fields.get("context", {}),
    )


def described(draft: Draft, size: int, sha256: str, create_time: str) -> StoredObject:
    """An object of this backend; the time in ISO format."""
    name = draft.name
    return StoredObject(
        draft=draft,
        size=size,
        sha256=sha256,
        create_time=datetime.fromisoformat(create_time),
        backend=NAME,
        bucket=name.placement,
        uri=f"{NAME}://{name.placement}/{quote(name.key)}",
    )
