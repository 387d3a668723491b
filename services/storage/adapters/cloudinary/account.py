"""An account at Cloudinary, and what its calls have in common."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from urllib3 import Timeout

API = "https://api.cloudinary.com"
DELIVERY = "https://res.cloudinary.com"
CONNECT_SECONDS = 5.0
LONGEST_FOLDER = 100
INCOMING = ".incoming"
"""Folder of what came by ticket; no placement can have it."""

_FOLDER = re.compile(r"[^?&#\\%<>+~/\s.][^?&#\\%<>+~\s]*(?<!/)")


@dataclass(frozen=True)
class CloudinaryAccount:
    """A cloud, its credentials, and where in it each placement lies."""

    cloud_name: str
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    folders: Mapping[str, str] = field(default_factory=dict)
    """Root folder of a placement; one that is not named here has a folder of its own name."""
    upload_prefix: str = ""
    """Where the APIs are; Cloudinary's own address when empty."""
    delivery: str = ""
    """Where files are delivered from; Cloudinary's own address when empty."""
    private_cdn: bool = False
    signature_algorithm: Literal["sha1", "sha256"] = "sha1"
    """As the account is set up."""
    timeout: float = 30.0
    """Seconds that Cloudinary may take to answer a call."""
    part_timeout: float = 120.0
    """Seconds that sending one part of an upload may take, and answering it again as many."""
    scratch: Path | None = None
    """Folder in which uploads are gathered; that of the system for temporary files when None."""
    name: str = "cloudinary"
    """Of the backend."""

    def __post_init__(self) -> None:
        folders = sorted(self.folders.values())
        if wrong := [folder for folder in folders if not _FOLDER.fullmatch(folder) or len(folder) > LONGEST_FOLDER]:
            raise ValueError(f"{wrong[0]!r} cannot be a folder at Cloudinary")
        for folder, following in pairwise(folders):
            if f"{following}/".startswith(f"{folder}/"):
                raise ValueError(f"two placements share the folder {folder!r} at Cloudinary; give each its own")

    def folder(self, placement: str) -> str:
        """Root folder of a placement."""
        return self.folders.get(placement, placement)

    @property
    def options(self) -> dict[str, Any]:
        """What every call is given, so that none reads the SDK's configuration, of which a process has but one."""
        return {
            "cloud_name": self.cloud_name,
            "api_key": self.api_key,
            "api_secret": self.api_secret,
            "oauth_token": None,
            "upload_preset": None,
            "upload_prefix": (self.upload_prefix or API).rstrip("/"),
            "signature_algorithm": self.signature_algorithm,
            "signature_version": 2,
            "timeout": Timeout(connect=CONNECT_SECONDS, read=self.timeout),
        }

    @property
    def part_timeouts(self) -> Timeout:
        """For calls that send much: urllib3 sends a body within the time for connecting."""
        return Timeout(connect=self.part_timeout, read=self.part_timeout)

    @property
    def delivery_options(self) -> dict[str, Any]:
        """What the making of a delivery address is given."""
        parts = urlsplit(self.delivery or DELIVERY)
        secure = parts.scheme == "https"
        return {
            "cloud_name": self.cloud_name,
            "api_secret": self.api_secret,
            "secure": secure,
            "secure_distribution": parts.netloc if secure else None,
            "cname": None if secure else parts.netloc,
            "private_cdn": self.private_cdn,
            "signature_algorithm": self.signature_algorithm,
            "long_url_signature": self.signature_algorithm == "sha256",
            "cdn_subdomain": False,
            "secure_cdn_subdomain": False,
            "auth_token": False,
            "force_version": True,
            "shorten": False,
            "use_root_path": False,
        }
