"""What the users of each tier may use. A limit of None is none at all."""

from dataclasses import dataclass

from services.metadata.domain.entities import Tier


@dataclass(frozen=True)
class Limits:
    """What the users of a tier may use."""

    stories_per_month: int | None
    rows: int | None
    """Of one table."""
    team_members: int | None
    """The owner included."""


LIMITS = {
    Tier.FREE: Limits(stories_per_month=3, rows=1_000, team_members=1),
    Tier.PROFESSIONAL: Limits(stories_per_month=50, rows=50_000, team_members=5),
    Tier.BUSINESS: Limits(stories_per_month=200, rows=100_000, team_members=20),
    Tier.ENTERPRISE: Limits(stories_per_month=None, rows=1_000_000, team_members=None),
}


@dataclass(frozen=True)
class Use:
    """Something whose use is counted."""

    limit: str
    """Name of the limit that holds for it."""
    monthly: bool
    """Whether every month begins at nothing."""


USES = {
    "stories": Use("stories_per_month", monthly=True),
    "team_members": Use("team_members", monthly=False),
}


def limit_of(tier: Tier, what: str) -> int | None:
    """The most that a tier allows of something; None when it sets no limit."""
    limit: int | None = getattr(LIMITS[tier], USES[what].limit)
    return limit
