"""How objects are named at Cloudinary.

The public id of an object is the folder of its placement, "/", and the very key. What a public id cannot hold becomes
"~XX", and a key that is too long for one ends in "~~" and its SHA-256; "~~" never comes from an escape.
"""

import hashlib
import re
from dataclasses import dataclass

from services.storage.adapters.cloudinary.account import INCOMING, CloudinaryAccount
from services.storage.domain.model import Access, Draft, ObjectName

LONGEST = 255
"""Characters of a public id."""
HEAD = LONGEST - 66
"""Characters that are left of a name that is too long."""

IMAGES = {"avif", "bmp", "gif", "heic", "ico", "jpeg", "jpg", "png", "tif", "tiff", "webp"}
TYPES = {Access.SIGNED: "authenticated", Access.PUBLIC: "upload"}
"""Delivery types, in the order in which an object is looked for."""

_TO_ESCAPE = re.compile(r"[?&#\\%<>+~]|(?:^|(?<=/))\s|\s(?=/|$)")


@dataclass(frozen=True)
class AssetName:
    """What names an asset."""

    public_id: str
    resource_type: str
    type: str

    def of_type(self, access: Access) -> "AssetName":
        """The same name for others to read."""
        return AssetName(self.public_id, self.resource_type, TYPES[access])


def escaped(key: str) -> str:
    """A key in characters that a public id takes."""
    return _TO_ESCAPE.sub(lambda found: "".join(f"~{byte:02X}" for byte in found[0].encode()), key)


def asset_name(account: CloudinaryAccount, name: ObjectName, access: Access) -> AssetName:
    """The asset of an object."""
    public_id = f"{account.folder(name.placement)}/{escaped(name.key)}"
    if len(public_id) > LONGEST:
        public_id = f"{public_id[:HEAD]}~~{hashlib.sha256(name.key.encode()).hexdigest()}"
    return AssetName(public_id, resource_type(name.key), TYPES[access])


def asset_prefix(account: CloudinaryAccount, placement: str, prefix: str) -> str:
    """With what the public ids begin of objects whose keys have a prefix; others may begin so, too."""
    # A space is escaped at the end of a segment, and here nobody knows whether it is one.
    return f"{account.folder(placement)}/{escaped(prefix.rstrip())}"[:HEAD]


def incoming_name(draft: Draft) -> AssetName:
    """Where the bytes of a ticket wait; always the same for one upload, and never readable without a signature."""
    identity = "\0".join((draft.name.placement, draft.name.key, draft.request_id))
    return AssetName(
        f"{INCOMING}/{hashlib.sha256(identity.encode()).hexdigest()}",
        resource_type(draft.name.key),
        TYPES[Access.SIGNED],
    )


def resource_type(key: str) -> str:
    """How Cloudinary treats an object: by its extension alone, so that it is known without asking."""
    return "image" if key.rpartition(".")[2].lower() in IMAGES and "." in key else "raw"
