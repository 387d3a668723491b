"""What is kept beside an object's bytes: entries of the asset's context.

The draft's own entries stand there by their names, ours begin with "modelyard_". An asset without them is no object.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from servicekit.errors import Problem
from services.storage.adapters.cloudinary.account import CloudinaryAccount
from services.storage.adapters.cloudinary.addresses import delivery_address
from services.storage.adapters.cloudinary.names import TYPES, asset_name
from services.storage.domain.model import Access, Draft, ObjectName, StoredObject

OURS = "modelyard_"
PIECE = 200
"""Characters of an entry; Cloudinary takes 255 with its name."""

Asset = Mapping[str, Any]
"""An asset as Cloudinary tells of it."""

_TO_ESCAPE = re.compile(r"[%\\]")
_EDGES = re.compile(r"^\s|\s$")
_ACCESS = {type_: access for access, type_ in TYPES.items()}


@dataclass(frozen=True)
class Facts:
    """What is known of an object once its bytes are."""

    size: int
    sha256: str
    create_time: datetime
    upload: str
    """Tells this upload from every other, also of the same request_id."""


def labels(draft: Draft, facts: Facts) -> dict[str, Any]:
    """Context and tags of an object's asset, as options of a call."""
    ours = {
        "placement": draft.name.placement,
        "key": draft.name.key,
        "owner": draft.owner,
        "content_type": draft.content_type,
        "file_name": draft.file_name,
        "request_id": draft.request_id,
        "size": str(facts.size),
        "sha256": facts.sha256,
        "create_time": facts.create_time.isoformat(),
        "expire_time": draft.expire_time.isoformat() if draft.expire_time else "",
        "tags": ",".join(draft.tags),
        "names": ",".join(draft.context),
        "upload": facts.upload,
    }
    context = {}
    for name, value in draft.context.items():
        context.update(_entries(_shown(name), value))
    for name, value in ours.items():
        context.update(_entries(OURS + name, value))
    return {"context": context, "tags": list(draft.tags)}


def _shown(name: str) -> str:
    return f"C{name}" if name.startswith(OURS) else name


def _entries(name: str, value: str) -> dict[str, str]:
    """A value in entries that are not empty, not too long, and free of what the service reads as its own."""
    text = _TO_ESCAPE.sub(_escape, value) or "%"
    pieces = [_EDGES.sub(_escape, text[start : start + PIECE]) for start in range(0, len(text), PIECE)]
    return {_numbered(name, number): piece for number, piece in enumerate(pieces, 1)}


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}P{number}"  # names have no capitals


def _escape(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())


def _value(context: Mapping[str, str], name: str) -> str:
    text, number = context[name], 1
    while (more := _numbered(name, number := number + 1)) in context:
        text += context[more]
    return "" if text == "%" else unquote(text)


def upload_of(asset: Asset) -> str:
    """Which upload an asset came by; empty when it came by none of ours."""
    return str(_context(asset).get(f"{OURS}upload", ""))


def _context(asset: Asset) -> Mapping[str, str]:
    context: Mapping[str, Any] = asset.get("context") or {}
    custom: Mapping[str, str] = context.get("custom", context)
    return custom


def decoded(account: CloudinaryAccount, asset: Asset) -> StoredObject | None:
    """The object that an asset is; None when it is none, or lies elsewhere than its record says."""
    context = _context(asset)
    try:
        ours = {name.removeprefix(OURS): _value(context, name) for name in context if name.startswith(OURS)}
        draft = _draft(context, ours, _ACCESS[asset["type"]])
        facts = Facts(int(ours["size"]), ours["sha256"], datetime.fromisoformat(ours["create_time"]), ours["upload"])
        name = asset_name(account, draft.name, draft.access)
    except (KeyError, ValueError, Problem):  # written by somebody else, or changed by hand
        return None
    if (name.public_id, name.resource_type) != (asset["public_id"], asset["resource_type"]):
        return None
    return described(account, draft, facts, asset)


def _draft(context: Mapping[str, str], ours: Mapping[str, str], access: Access) -> Draft:
    return Draft(
        ObjectName(ours["placement"], ours["key"]),
        ours["owner"],
        ours["content_type"],
        ours["file_name"],
        ours["request_id"],
        access=access,
        expire_time=datetime.fromisoformat(ours["expire_time"]) if ours["expire_time"] else None,
        tags=tuple(ours["tags"].split(",")) if ours["tags"] else (),
        context={name: _value(context, _shown(name)) for name in ours["names"].split(",") if name},
    )


def described(account: CloudinaryAccount, draft: Draft, facts: Facts, asset: Asset) -> StoredObject:
    """An object of this backend."""
    name = asset_name(account, draft.name, draft.access)
    return StoredObject(
        draft=draft,
        size=facts.size,
        sha256=facts.sha256,
        create_time=facts.create_time,
        backend=account.name,
        bucket=account.folder(draft.name.placement),
        uri=delivery_address(account, name, asset["version"], asset.get("format", "")),
    )
