"""Delivery: addresses of the content delivery network, and private downloads that expire."""

import asyncio
import mimetypes
import re
import time
from urllib.parse import quote, unquote

from aiohttp import web

from tests.servers.cloudinary import rules
from tests.servers.cloudinary.cloud import Asset, Cloud
from tests.servers.cloudinary.faults import CUT_AFTER, cut
from tests.servers.cloudinary.rules import Refused

PIECE = 64 * 1024
_ADDRESS = re.compile(r"(?:s--([A-Za-z0-9_-]+)--/)?(?:v(\d+)/)?(.+)")


async def deliver(request: web.Request, cloud: Cloud) -> web.StreamResponse:
    """Serve an asset at its address; an error tells its reason in a header."""
    try:
        asset = _asked_for(request, cloud)
    except Refused as refused:
        return web.Response(status=refused.status, headers={"x-cld-error": refused.message})
    return await _send(request, cloud, asset, "")


def _asked_for(request: web.Request, cloud: Cloud) -> Asset:
    resource_type, type_ = request.match_info["resource_type"], request.match_info["type"]
    rest = request.raw_path.partition("?")[0].split("/", 4)[4]
    found = _ADDRESS.fullmatch(rest)
    if found is None:
        raise Refused(404, "Resource not found")
    signature, _, source = found.groups()
    if signature:
        rules.check_delivery_signature(signature, source, cloud.secret)
    elif type_ != "upload":
        raise Refused(401, "deny or ACL failure")
    if request.raw_path in cloud.cached:
        return cloud.cached[request.raw_path]
    return cloud.cache(request.raw_path, _named(cloud, resource_type, type_, unquote(source)))


def _named(cloud: Cloud, resource_type: str, type_: str, name: str) -> Asset:
    if resource_type != "image":
        return cloud.found(resource_type, type_, name)
    public_id, _, extension = name.rpartition(".")
    if not public_id:
        return cloud.found(resource_type, type_, name)
    asset = cloud.found(resource_type, type_, public_id)
    if asset.picture is None or asset.picture.format != extension.lower():
        raise Refused(400, "This server does not transform")
    return asset


async def download(request: web.Request, cloud: Cloud) -> web.StreamResponse:
    """Serve an asset to whoever holds a signed address, until it expires."""
    params = dict(request.query)
    if params.get("api_key") != cloud.key:
        raise Refused(401, "Unknown API key")
    if "expires_at" in params:
        rules.check_signed(params, cloud.secret)
        if time.time() >= int(params["expires_at"]):
            raise Refused(401, "Expired link")
    else:
        rules.check_signature(params, cloud.secret)
    resource_type = request.match_info["resource_type"]
    asset = cloud.found(resource_type, rules.delivery_type(params), params.get("public_id", ""))
    if asset.picture and params.get("format") not in {None, "", asset.picture.format}:
        raise Refused(400, "This server does not transform")
    return await _send(request, cloud, asset, _offered(asset, params.get("attachment", "")))


def _offered(asset: Asset, attachment: str) -> str:
    if attachment.lower() in {"", "0", "false"}:
        return ""
    if attachment.lower() in {"1", "true"}:
        return asset.public_id.rpartition("/")[2]
    return attachment


async def _send(request: web.Request, cloud: Cloud, asset: Asset, attachment: str) -> web.StreamResponse:
    response = web.StreamResponse()
    span = _span(request, asset.file.size)
    if span is None:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{asset.file.size}"})
    if len(span) != asset.file.size:
        response.set_status(206)
        response.headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{asset.file.size}"
    response.content_length = len(span)
    response.headers["ETag"] = f'"{asset.file.md5}"'
    response.headers["Accept-Ranges"] = "bytes"
    name = f"x.{asset.picture.format}" if asset.picture else asset.public_id
    response.content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if attachment:
        response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(attachment)}"
    with asset.file.path.open("rb") as file:  # opened before anything waits: a deletion does not shorten it
        await response.prepare(request)
        if request.method != "HEAD":
            file.seek(span.start)
            await _stream(request, response, file, len(span), cloud)
    return response


async def _stream(request, response, file, left: int, cloud: Cloud) -> None:
    until_cut = request.get(CUT_AFTER, left + 1)
    while left and until_cut > 0:
        data = await asyncio.to_thread(file.read, min(PIECE, left, until_cut))
        await response.write(data)
        cloud.bandwidth += len(data)
        left -= len(data)
        until_cut -= len(data)
    if CUT_AFTER in request:
        await asyncio.sleep(0.05)  # so that what was written leaves before the connection breaks
        cut(request)
    else:
        await response.write_eof()


def _span(request: web.Request, size: int) -> range | None:
    """The bytes that a request means; None for those beyond the end."""
    try:
        wanted = request.http_range
    except ValueError:
        return range(size)
    whole = range(size)[wanted]
    return whole if whole or not size else None
