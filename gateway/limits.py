"""How often a user may begin to send or fetch files: a bucket of tokens for each of them, in this process's memory."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import Request

from gateway.identity import current_user
from gateway.settings import GatewaySettings
from servicekit import errors

UPLOADS, DOWNLOADS = "uploads", "downloads"

LIMITED = {
    ("POST", "/api/datasets/upload"): UPLOADS,
    ("PUT", "/api/datasets/upload"): UPLOADS,
    ("POST", "/api/datasets/import"): UPLOADS,
    ("POST", "/api/train"): UPLOADS,
    ("POST", "/api/storage/tickets"): UPLOADS,
    ("GET", "/api/datasets/{dataset_id}/download"): DOWNLOADS,
    ("GET", "/api/models/{model_id}/download"): DOWNLOADS,
    ("GET", "/api/download/project_{project_id}.zip"): DOWNLOADS,
    ("GET", "/api/projects/{project_id}/zip/{version_id}"): DOWNLOADS,
}
"""Routes that carry files, by what they count as. Signed addresses are not among them: they name no user."""


class TooManyTransfers(errors.Exhausted):
    """You may begin {limit} {what} a minute, and have begun them. Repeat in {after_seconds} s."""


@dataclass
class Bucket:
    """Tokens of one user: each transfer takes one, and a minute brings as many as the limit says."""

    tokens: float
    filled_at: float


@dataclass
class Limit:
    """The most that each user may begin in a minute."""

    what: str
    per_minute: int
    now: Callable[[], float] = time.monotonic
    _buckets: dict[str, Bucket] = field(default_factory=dict)

    def take(self, user: str) -> None:
        """Begin one more. Fails with TooManyTransfers, which says how long to wait."""
        now = self.now()
        bucket = self._buckets.setdefault(user, Bucket(self.per_minute, now))
        fresh = (now - bucket.filled_at) * self.per_minute / 60
        bucket.tokens, bucket.filled_at = min(self.per_minute, bucket.tokens + fresh), now
        if bucket.tokens < 1:
            seconds = math.ceil((1 - bucket.tokens) * 60 / self.per_minute)
            raise TooManyTransfers(limit=self.per_minute, what=self.what, after_seconds=seconds)
        bucket.tokens -= 1


def limits_of(settings: GatewaySettings) -> dict[str, Limit]:
    """The limits that are set; none for the built-in user, who has nobody to leave room for."""
    wanted = {UPLOADS: settings.uploads_per_minute, DOWNLOADS: settings.downloads_per_minute}
    return {what: Limit(what, most) for what, most in wanted.items() if most and settings.api_keys}


async def limited(request: Request) -> None:
    """Count a request that carries a file; a dependency of every route."""
    what = LIMITED.get((request.method, request.scope["route"].path))
    limit: Limit | None = request.app.state.limits.get(what)
    if limit:
        limit.take(await current_user(request))
