"""The upload API: upload in one piece or many, destroy, rename, explicit, tags, context."""

import asyncio
import hashlib
import re
import uuid
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

from aiohttp import web

from tests.servers.cloudinary import rules
from tests.servers.cloudinary.cloud import LARGEST_DIRECT, SMALLEST_CHUNK, Asset, Chunked, Cloud, File
from tests.servers.cloudinary.forms import Form, form_of, picture_of
from tests.servers.cloudinary.rules import Refused

Answer = dict[str, Any]
RESOURCE_TYPES = {"raw", "image", "auto"}


async def called(request: web.Request, cloud: Cloud) -> web.Response:
    """Answer a signed call."""
    action = ACTIONS.get(request.match_info["action"])
    resource_type = request.match_info["resource_type"]
    if action is None or resource_type not in RESOURCE_TYPES:
        raise Refused(404, "Not found")
    form = await form_of(request, cloud)
    with ExitStack() as at_end:
        at_end.callback(form.discard)
        _check_caller(form, cloud)
        answer = await action(request, cloud, resource_type, form)
        if answer.pop("keeps_file", False):
            at_end.pop_all()
    return web.json_response(answer)


def _check_caller(form: Form, cloud: Cloud) -> None:
    if "api_key" not in form.params or "signature" not in form.params:
        raise Refused(400, "Upload preset must be specified when using unsigned upload")
    if form.params["api_key"] != cloud.key:
        raise Refused(401, f"Unknown API key {form.params['api_key']}")
    rules.check_signature(form.params, cloud.secret)


async def upload(request: web.Request, cloud: Cloud, resource_type: str, form: Form) -> Answer:
    file = form.file
    if file is None:
        raise Refused(400, "Missing required parameter - file")
    if file.size == 0:
        raise Refused(400, "Empty file")
    if "Content-Range" not in request.headers:
        if file.size > LARGEST_DIRECT:
            raise Refused(400, f"File size too large. Got {file.size}. Maximum is {LARGEST_DIRECT}.")
        return await _store(cloud, resource_type, form, file)
    whole = await _chunk(request, cloud, resource_type, form, file)
    if isinstance(whole, dict):
        return whole
    try:
        return {**await _store(cloud, resource_type, form, whole), "done": True, "keeps_file": False}
    finally:
        if all(asset.file is not whole for asset in cloud.assets.values()):
            whole.path.unlink(missing_ok=True)


async def _store(cloud: Cloud, resource_type: str, form: Form, file: File) -> Answer:
    params = form.params
    type_ = rules.delivery_type(params)
    public_id = _public_id(params)
    picture = await asyncio.to_thread(picture_of, file) if resource_type != "raw" else None
    if resource_type == "auto":
        resource_type = "image" if picture else "raw"
    if resource_type == "image" and picture is None:
        raise Refused(400, "Invalid image file")
    tags, context = rules.tags_of(params.get("tags")), rules.context_of(params.get("context"))
    # From here on nothing waits: of many callers exactly one creates an asset.
    cloud.check_size(resource_type, file.size)
    asset = Asset(public_id, resource_type, type_, file, cloud.next_version(), picture, tags, context)
    asset.asset_folder = str(params.get("asset_folder", ""))
    stored, existing = cloud.add(asset, rules.is_true(params.get("overwrite", "1")))
    answer = {**stored.described(cloud.base), "signature": _answer_signature(stored, cloud)}
    return answer | ({"existing": True} if existing else {"keeps_file": True})


def _public_id(params: dict[str, Any]) -> str:
    name = str(params.get("public_id") or uuid.uuid4().hex[:20])
    folder = str(params.get("folder") or "")
    return rules.check_public_id(f"{folder}/{name}" if folder else name)


def _answer_signature(asset: Asset, cloud: Cloud) -> str:
    text = f"public_id={asset.public_id}&version={asset.version}{cloud.secret}"
    return hashlib.sha1(text.encode()).hexdigest()


async def _chunk(request: web.Request, cloud: Cloud, resource_type: str, form: Form, file: File) -> File | Answer:
    """The whole file after the last chunk, and the answer to any other."""
    upload_id = request.headers.get("X-Unique-Upload-Id", "")
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", request.headers["Content-Range"])
    if not upload_id or not found:
        raise Refused(400, "Invalid Content-Range or X-Unique-Upload-Id")
    start, end, total = map(int, found.groups())
    if end + 1 - start != file.size or end >= total:
        raise Refused(400, "Content-Range does not fit the chunk")
    if end + 1 < total and file.size < SMALLEST_CHUNK:
        raise Refused(400, "All parts except EOF-chunk must be larger than 5mb")
    cloud.check_size(resource_type, total)
    public_id = _public_id(form.params)
    chunked = cloud.chunked.get(upload_id)
    if chunked is None and start > 0:
        raise Refused(400, "Chunks are out of order: the first is missing")
    if chunked is None:
        chunked = cloud.chunked[upload_id] = Chunked(cloud.unused_path(), public_id)
    async with chunked.lock:
        await _append(chunked, public_id, start, file)
    if chunked.received < total:
        return {"done": False, "bytes": chunked.received, "public_id": public_id, "kind": "upload"}
    del cloud.chunked[upload_id]
    return File(chunked.path, total, chunked.md5.hexdigest(), file.name)


async def _append(chunked: Chunked, public_id: str, start: int, file: File) -> None:
    if public_id != chunked.public_id:
        raise Refused(400, "Chunks of one upload have different public ids")
    if start + file.size <= chunked.received:
        return  # a chunk that was sent again because its answer was lost
    if start != chunked.received:
        raise Refused(400, f"Chunks are out of order: {chunked.received} bytes came so far")

    def append() -> None:
        with chunked.path.open("ab") as whole:
            chunk = file.path.read_bytes()
            chunked.md5.update(chunk)
            whole.write(chunk)

    await asyncio.to_thread(append)
    chunked.received += file.size


async def destroy(_: web.Request, cloud: Cloud, resource_type: str, form: Form) -> Answer:
    public_id = form.wanted("public_id")
    try:
        asset = cloud.found(resource_type, rules.delivery_type(form.params), public_id)
    except Refused:
        return {"result": "not found"}
    cloud.remove(asset, rules.is_true(form.params.get("invalidate")))
    return {"result": "ok"}


async def rename(_: web.Request, cloud: Cloud, resource_type: str, form: Form) -> Answer:
    params = form.params
    to_id = rules.check_public_id(form.wanted("to_public_id"))
    type_ = rules.delivery_type(params)
    to_type = rules.delivery_type(params, "to_type") if params.get("to_type") else type_
    asset = cloud.found(resource_type, type_, form.wanted("from_public_id"))
    if rules.is_true(params.get("invalidate")):
        cloud.forget(asset)
    cloud.rename(asset, to_type, to_id, rules.is_true(params.get("overwrite")))
    return asset.described(cloud.base)


async def explicit(_: web.Request, cloud: Cloud, resource_type: str, form: Form) -> Answer:
    if not form.params.get("type"):
        raise Refused(400, "Missing required parameter - type")
    asset = cloud.found(resource_type, rules.delivery_type(form.params), form.wanted("public_id"))
    relabel(asset, form.params)
    return asset.described(cloud.base)


def relabel(asset: Asset, params: dict[str, Any]) -> None:
    """Replace the labels that a call names."""
    tags = rules.tags_of(params["tags"]) if "tags" in params else asset.tags
    context = rules.context_of(params["context"]) if "context" in params else asset.context
    asset.tags, asset.context = tags, context


async def tags(_: web.Request, cloud: Cloud, resource_type: str, form: Form) -> Answer:
    command, tag = form.wanted("command"), str(form.params.get("tag") or "")
    ids = form.params.get("public_ids") or []
    assets = _several(cloud, resource_type, form)
    for asset in assets:
        kept = [] if command in {"replace", "remove_all"} else [other for other in asset.tags if other != tag]
        asset.tags = kept + ([tag] if command in {"add", "replace", "set_exclusive"} else [])
    if command == "set_exclusive":
        for other in cloud.assets.values():
            if other.public_id not in ids and tag in other.tags:
                other.tags.remove(tag)
    return {"public_ids": [asset.public_id for asset in assets]}


async def context(_: web.Request, cloud: Cloud, resource_type: str, form: Form) -> Answer:
    added = rules.context_of(form.params.get("context"))
    remove = form.wanted("command") == "remove_all"
    assets = _several(cloud, resource_type, form)
    for asset in assets:
        asset.context = {} if remove else asset.context | added
    return {"public_ids": [asset.public_id for asset in assets]}


def _several(cloud: Cloud, resource_type: str, form: Form) -> list[Asset]:
    type_ = rules.delivery_type(form.params)
    keys = [(resource_type, type_, public_id) for public_id in form.params.get("public_ids") or []]
    return [cloud.assets[key] for key in keys if key in cloud.assets]


ACTIONS: dict[str, Callable[[web.Request, Cloud, str, Form], Awaitable[Answer]]] = {
    "upload": upload,
    "destroy": destroy,
    "rename": rename,
    "explicit": explicit,
    "tags": tags,
    "context": context,
}
