"""Reads what a call brings: parameters, and files that go to the disk as they come."""

import asyncio
import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, web

from tests.servers.cloudinary.cloud import Cloud, File, Picture
from tests.servers.cloudinary.rules import Refused

PIECE = 256 * 1024
LONGEST_PARAMETER = 64 * 1024


@dataclass
class Form:
    """The parameters of a call, and its file."""

    params: dict[str, Any] = field(default_factory=dict)
    file: File | None = None

    def add(self, name: str, value: str) -> None:
        if name.endswith("[]"):
            self.params.setdefault(name[:-2], []).append(value)
        else:
            self.params[name] = value

    def discard(self) -> None:
        """Remove the file, unless it has become an asset."""
        if self.file is not None:
            self.file.path.unlink(missing_ok=True)

    def wanted(self, name: str) -> str:
        if not self.params.get(name):
            raise Refused(400, f"Missing required parameter - {name}")
        return str(self.params[name])


async def form_of(request: web.Request, cloud: Cloud) -> Form:
    """Read a call."""
    form = Form()
    try:
        if request.content_type.startswith("multipart/"):
            async for part in await request.multipart():
                await _take(part, form, cloud)
        elif request.content_type == "application/json":
            form.params = json.loads(await request.text() or "{}")
        else:
            for name, value in (await request.post()).items():
                form.add(name, str(value))
    except BaseException:
        form.discard()
        raise
    return form


async def _take(part: Any, form: Form, cloud: Cloud) -> None:
    if not isinstance(part, BodyPartReader) or not part.name:
        raise Refused(400, "Invalid form")
    if part.name == "file":
        form.file = await _spool(part, cloud)
        return
    data = await part.read()
    if len(data) > LONGEST_PARAMETER:
        raise Refused(413, "Request entity too large")
    form.add(part.name, data.decode())


async def _spool(part: BodyPartReader, cloud: Cloud) -> File:
    path, md5, size = cloud.unused_path(), hashlib.md5(), 0
    complete = False
    try:
        with path.open("xb") as file:
            while data := await part.read_chunk(PIECE):
                await asyncio.to_thread(file.write, data)
                md5.update(data)
                size += len(data)
        complete = True
    finally:
        if not complete:
            with suppress(FileNotFoundError):
                path.unlink()
    return File(path, size, md5.hexdigest(), (part.filename or "file").rpartition(".")[0] or "file")


def picture_of(file: File) -> Picture | None:
    """What an image is; None when it is none."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file.path) as image:
            image.verify()
            form = (image.format or "").lower().replace("jpeg", "jpg")
            return Picture(form, *image.size)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return None
