"""The admin API: ping, usage, resources."""

import json
from typing import Any

from aiohttp import web

from tests.servers.cloudinary import rules
from tests.servers.cloudinary.cloud import Asset, Cloud
from tests.servers.cloudinary.forms import form_of
from tests.servers.cloudinary.rules import Refused
from tests.servers.cloudinary.uploads import relabel

MOST_RESULTS = 500
GIB = 1024**3


def _check(request: web.Request, cloud: Cloud) -> None:
    rules.check_basic(request.headers.get("Authorization", ""), cloud.key, cloud.secret)
    cloud.admin_calls += 1


async def ping(request: web.Request, cloud: Cloud) -> web.Response:
    _check(request, cloud)
    return web.json_response({"status": "ok"})


async def usage(request: web.Request, cloud: Cloud) -> web.Response:
    """What the cloud holds and has delivered; a credit is a GiB of either."""
    _check(request, cloud)
    storage, bandwidth = cloud.storage, cloud.bandwidth
    credits_used = round((storage + bandwidth) / GIB, 2)
    limit = cloud.quota / GIB
    told = {
        "plan": "Free",
        "last_updated": "2026-11-21",
        "storage": {"usage": storage, "credits_usage": round(storage / GIB, 2)},
        "bandwidth": {"usage": bandwidth, "credits_usage": round(bandwidth / GIB, 2)},
        "objects": {"usage": len(cloud.assets)},
        "credits": {"usage": credits_used, "limit": limit, "used_percent": round(100 * credits_used / limit, 2)},
        "requests": cloud.admin_calls,
        "resources": len(cloud.assets),
        "derived_resources": 0,
        "media_limits": {"image_max_size_bytes": cloud.max_image, "raw_max_size_bytes": cloud.max_raw},
    }
    return web.json_response(told)


async def resources(request: web.Request, cloud: Cloud) -> web.Response:
    """A page of a list; or some, by their ids."""
    _check(request, cloud)
    query, match = request.query, request.match_info
    found = cloud.listed(match["resource_type"], match.get("type", ""), query.get("prefix", ""))
    if ids := query.getall("public_ids[]", []):
        found = [asset for asset in found if asset.public_id in ids]
    if tag := match.get("tag"):
        found = [asset for asset in found if tag in asset.tags]
    start, limit = _cursor(query.get("next_cursor", "")), int(query.get("max_results", "10"))
    if not 0 < limit <= MOST_RESULTS:
        raise Refused(400, f"max_results must be between 1 and {MOST_RESULTS}")
    page = found[start : start + limit]
    answer: dict[str, Any] = {"resources": [_listed(asset, cloud, query) for asset in page]}
    if start + limit < len(found):
        answer["next_cursor"] = f"{start + limit:032d}"
    return web.json_response(answer)


def _cursor(text: str) -> int:
    if text and not text.isdigit():
        raise Refused(400, "Invalid next_cursor")
    return int(text or 0)


def _listed(asset: Asset, cloud: Cloud, query: Any) -> dict[str, object]:
    told = asset.described(cloud.base)
    for name in ("tags", "context"):
        if not rules.is_true(query.get(name, "")):
            told.pop(name, None)
    for name in ("etag", "original_filename"):
        told.pop(name)
    return told


async def resource(request: web.Request, cloud: Cloud) -> web.Response:
    """One asset: read, or relabelled."""
    _check(request, cloud)
    match = request.match_info
    asset = cloud.found(match["resource_type"], match["type"], match["public_id"])
    if request.method != "GET":
        relabel(asset, (await form_of(request, cloud)).params)
    return web.json_response(asset.described(cloud.base))


async def delete(request: web.Request, cloud: Cloud) -> web.Response:
    """Delete by ids or by prefix."""
    _check(request, cloud)
    resource_type, type_ = request.match_info["resource_type"], request.match_info["type"]
    text = await request.text()
    params = json.loads(text) if text else dict(request.query)
    ids, prefix = params.get("public_ids") or request.query.getall("public_ids[]", []), params.get("prefix")
    if not ids and not prefix:
        raise Refused(400, "Missing required parameter - public_ids or prefix")
    if prefix:
        ids = [asset.public_id for asset in cloud.listed(resource_type, type_, prefix)]
    deleted = {}
    for public_id in ids:
        asset = cloud.assets.get((resource_type, type_, public_id))
        deleted[public_id] = "deleted" if asset else "not_found"
        if asset:
            cloud.remove(asset, rules.is_true(params.get("invalidate")))
    return web.json_response({"deleted": deleted, "partial": False})


async def search(request: web.Request, cloud: Cloud) -> web.Response:
    _check(request, cloud)
    raise Refused(501, "This server has no search")
