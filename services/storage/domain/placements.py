"""Placements: the policies under which objects are stored, as data."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from services.storage.domain import errors, keys
from services.storage.domain.model import Access

LOCAL = "local"
"""The backend that every service has."""

PLACEMENT_NAME = r"^[a-z0-9][a-z0-9-]{2,62}$"
"""What is a folder, a container and part of an address alike; nothing else in the root folder is called so."""

_ATTRIBUTE = re.compile(r"\{([a-z_]+)\}")
_NOT_IN_A_SEGMENT = re.compile(r"[\x00-\x1f\x7f-\x9f\\/\ud800-\udfff]")


class OnError(StrEnum):
    """What becomes of an upload when its home backend fails."""

    FAIL = "fail"
    NEXT = "next"


@dataclass(frozen=True)
class Placement:
    """Where objects of one kind are kept, and what happens when that fails."""

    name: str
    backends: tuple[str, ...]
    """In order of preference. Those that are off at start are left out; the local one stands in when none is left."""
    key_template: str = "{user}/{file_name}"
    on_error: OnError = OnError.FAIL
    required: bool = False
    """Whether a backend that is off fails every upload, rather than being left out."""
    keep_local_copy: bool = False
    access: Access = Access.SIGNED
    expires_after: timedelta | None = None

    @property
    def attributes(self) -> frozenset[str]:
        """What its template needs to know."""
        return frozenset(_ATTRIBUTE.findall(self.key_template))

    def key(self, attributes: Mapping[str, str]) -> str:
        """The key of an object of which so much is known. Fails with AttributeMissing, and InvalidKey."""
        if missing := sorted(name for name in self.attributes if not attributes.get(name)):
            raise errors.AttributeMissing(placement=self.name, missing=", ".join(missing))
        key = _ATTRIBUTE.sub(lambda found: _within_a_segment(attributes[found[1]]), self.key_template)
        if why := keys.wrong_with_key(key):
            raise errors.InvalidKey(why=why)
        return key


def _within_a_segment(value: str) -> str:
    """A value that neither ends a segment nor leaves its folder."""
    clean = _NOT_IN_A_SEGMENT.sub("_", value)
    return clean if clean.strip(".") else "_" * len(clean)


PLACEMENTS = (
    Placement("datasets", ("azure",), "{user}/{dataset}/{file_name}"),
    Placement("models", ("azure",), "{user}/{model}/model-{version}.zip"),
    Placement(
        "projects",
        ("cloudinary", LOCAL),
        "{user}/{task_type}/{project_name}_{date}_{suffix}.zip",
        on_error=OnError.NEXT,
        keep_local_copy=True,
        access=Access.PUBLIC,
        expires_after=timedelta(days=365),
    ),
    Placement("posters", ("cloudinary",), "{user}/{campaign}/{render}_{suffix}.{format}", access=Access.PUBLIC),
    Placement("uploads", ("cloudinary",), "{user}/{timestamp}-{file_name}"),
    Placement("stories", ("cloudinary",), "{user}/{story}/{file_name}"),
)


def wrong_with_template(template: str) -> str:
    """Why a text cannot make keys; empty when it can."""
    if not _ATTRIBUTE.search(template):
        return "it has no attribute in braces, so that all objects would have one key"
    rest = _ATTRIBUTE.sub("x", template)
    if "{" in rest or "}" in rest:
        return "an attribute is small letters and underscores in braces, for example {file_name}"
    return keys.wrong_with_key(rest)


def changed(placements: Iterable[Placement], changes: Mapping[str, Mapping[str, Any]]) -> tuple[Placement, ...]:
    """The placements with what an operator wants otherwise, by name and attribute; a name that is new adds one."""
    by_name = {place.name: place for place in placements}
    for name, wanted in changes.items():
        known = by_name.get(name, Placement(name, (LOCAL,)))
        by_name[name] = Placement(**{**vars(known), **wanted})
    return tuple(by_name.values())
