"""One product environment: its assets, and the chunked uploads that are under way."""

import asyncio
import hashlib
import heapq
import itertools
import os
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.servers.cloudinary.rules import Refused

AssetKey = tuple[str, str, str]
"""Resource type, delivery type, public id."""

LARGEST_DIRECT = 100 * 1024 * 1024
SMALLEST_CHUNK = 5 * 1024 * 1024 - 1024 * 1024 // 4  # "5mb" is taken with some grace


@dataclass
class File:
    """Bytes that came with a call, on the disk."""

    path: Path
    size: int
    md5: str
    name: str


@dataclass
class Picture:
    """What an image turned out to be."""

    format: str
    width: int
    height: int


@dataclass
class Asset:
    """One stored file."""

    public_id: str
    resource_type: str
    type: str
    file: File
    version: int
    picture: Picture | None = None
    tags: list[str] = field(default_factory=list)
    context: dict[str, str] = field(default_factory=dict)
    asset_folder: str = ""
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    asset_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def key(self) -> AssetKey:
        return self.resource_type, self.type, self.public_id

    def described(self, base: str) -> dict[str, object]:
        """The asset as the service tells of it."""
        name = f"{self.public_id}.{self.picture.format}" if self.picture else self.public_id
        address = f"{base}/{self.resource_type}/{self.type}/v{self.version}/{quote(name)}"
        told = {
            "asset_id": self.asset_id,
            "public_id": self.public_id,
            "version": self.version,
            "resource_type": self.resource_type,
            "type": self.type,
            "created_at": f"{self.created_at:%FT%TZ}",
            "bytes": self.file.size,
            "etag": self.file.md5,
            "placeholder": False,
            "asset_folder": self.asset_folder,
            "url": address,
            "secure_url": address,
            "original_filename": self.file.name,
            "tags": list(self.tags),
        }
        if self.context:
            told["context"] = {"custom": dict(self.context)}
        if self.picture:
            told |= {"format": self.picture.format, "width": self.picture.width, "height": self.picture.height}
        return told


@dataclass
class Chunked:
    """A chunked upload that is under way."""

    path: Path
    public_id: str
    received: int = 0
    md5: Any = field(default_factory=hashlib.md5)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass
class Cloud:
    """A product environment and its credentials. All its methods run in the server's loop, so each is atomic."""

    name: str
    key: str
    secret: str
    folder: Path
    base: str
    quota: int = 25 * 1024**3
    max_raw: int = 1024**3
    max_image: int = 10 * 1024**2
    assets: dict[AssetKey, Asset] = field(default_factory=dict)
    chunked: dict[str, Chunked] = field(default_factory=dict)
    cached: dict[str, Asset] = field(default_factory=dict)
    """What the content delivery network has seen, by path: it goes on serving that until it is invalidated."""
    bandwidth: int = 0
    admin_calls: int = 0
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _last_version: int = 0

    def unused_path(self) -> Path:
        return self.folder / str(next(self._numbers))

    def next_version(self) -> int:
        """The time in seconds, but never the same twice."""
        self._last_version = max(int(time.time()), self._last_version + 1)
        return self._last_version

    @property
    def storage(self) -> int:
        return sum(asset.file.size for asset in self.assets.values())

    def check_size(self, resource_type: str, size: int) -> None:
        largest = self.max_image if resource_type == "image" else self.max_raw
        if size > largest:
            raise Refused(400, f"File size too large. Got {size}. Maximum is {largest}. Upgrade your plan.")
        if self.storage + size > self.quota:
            raise Refused(403, "Storage quota exceeded for this account")

    def add(self, asset: Asset, overwrite: bool) -> tuple[Asset, bool]:
        """Store an asset; the one that is there then, and whether it was there before and stays as it was."""
        existing = self.assets.get(asset.key)
        if existing and not overwrite:
            return existing, True
        if existing:
            existing.file.path.unlink()
        self.assets[asset.key] = asset
        return asset, False

    def found(self, resource_type: str, type_: str, public_id: str) -> Asset:
        asset = self.assets.get((resource_type, type_, public_id))
        if asset is None:
            raise Refused(404, f"Resource not found - {public_id}")
        return asset

    def rename(self, asset: Asset, to_type: str, to_id: str, overwrite: bool) -> None:
        key = (asset.resource_type, to_type, to_id)
        if key in self.assets and self.assets[key] is not asset:
            if not overwrite:
                raise Refused(400, f"to_public_id({to_id}) already exists")
            self.assets.pop(key).file.path.unlink()
        del self.assets[asset.key]
        asset.type, asset.public_id = to_type, to_id
        self.assets[key] = asset

    def remove(self, asset: Asset, invalidate: bool) -> None:
        del self.assets[asset.key]
        asset.file.path.unlink()
        if invalidate:
            self.forget(asset)

    def forget(self, asset: Asset) -> None:
        """Take an asset's bytes out of the delivery network."""
        for path in [path for path, copy in self.cached.items() if copy.asset_id == asset.asset_id]:
            self.cached.pop(path).file.path.unlink()

    def cache(self, path: str, asset: Asset) -> Asset:
        """What the delivery network serves at a path."""
        if path not in self.cached:
            copy = self.unused_path()
            os.link(asset.file.path, copy)
            file = File(copy, asset.file.size, asset.file.md5, asset.file.name)
            self.cached[path] = Asset(**{**vars(asset), "file": file})
        return self.cached[path]

    def listed(self, resource_type: str, type_: str, prefix: str) -> list[Asset]:
        """Assets by their prefix, newest first, as the service lists them: not by name."""
        assets: Iterable[Asset] = (
            asset
            for asset in self.assets.values()
            if asset.resource_type == resource_type
            and (not type_ or asset.type == type_)
            and asset.public_id.startswith(prefix)
        )
        return heapq.nlargest(len(self.assets), assets, key=lambda asset: (asset.created_at, asset.asset_id))
