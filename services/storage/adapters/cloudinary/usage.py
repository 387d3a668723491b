"""What an account has used of its plan."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AccountUsage:
    """Figures of the current billing period, as Cloudinary last counted them."""

    plan: str
    storage: int
    """Bytes kept."""
    storage_limit: int | None
    """Bytes; None where the plan limits credits instead."""
    bandwidth: int
    """Bytes delivered."""
    bandwidth_limit: int | None
    """Bytes; None where the plan limits credits instead."""
    credits_used: float
    credits_limit: float | None
    largest_raw: int | None
    """Bytes of the largest file that is no image."""
    largest_image: int | None
    """Bytes of the largest image."""


def usage_of(answer: Mapping[str, Any]) -> AccountUsage:
    """The figures in an answer; plans differ in which they have."""
    storage, bandwidth = answer.get("storage", {}), answer.get("bandwidth", {})
    spent, limits = answer.get("credits", {}), answer.get("media_limits", {})
    return AccountUsage(
        plan=answer.get("plan", ""),
        storage=storage.get("usage", 0),
        storage_limit=storage.get("limit"),
        bandwidth=bandwidth.get("usage", 0),
        bandwidth_limit=bandwidth.get("limit"),
        credits_used=spent.get("usage", 0.0),
        credits_limit=spent.get("limit"),
        largest_raw=limits.get("raw_max_size_bytes"),
        largest_image=limits.get("image_max_size_bytes"),
    )
