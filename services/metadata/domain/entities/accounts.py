"""Accounts: who uses Modelyard, from where, and how much of it."""

from datetime import datetime
from enum import StrEnum

from services.metadata.domain.declarations import EPOCH, OnDelete, Reference, attribute, entity
from services.metadata.domain.entities.record import ID, NAME, SHA256_PATTERN, Record

EMAIL = 254
"""Most characters of an address that mail is delivered to."""
LARGEST_RESERVATION = 1_000_000
EMAIL_PATTERN = r"[^@\s]+@[^@\s]+"


class Tier(StrEnum):
    """What a user has subscribed to."""

    FREE = "free"
    PROFESSIONAL = "professional"
    BUSINESS = "business"
    ENTERPRISE = "enterprise"


@entity("users", indexes=[("create_time", "id"), ("tier", "create_time", "id")])
class User(Record):
    """An account."""

    email: str = attribute(
        default="", required=True, unique=True, pattern=EMAIL_PATTERN, max_length=EMAIL, updatable=True
    )
    """In lower case, so that it is unique whatever its case."""
    name: str = attribute(default="", max_length=NAME, updatable=True)
    tier: Tier = attribute(default=Tier.FREE, updatable=True)
    password_hash: str = attribute(default="", max_length=NAME)
    """No message has it: it never leaves the service."""


@entity(
    "sessions", indexes=[("user_id", "create_time", "id"), ("create_time", "id"), ("expire_time", "create_time", "id")]
)
class Session(Record):
    """A user's leave to act without the password, for a time."""

    user_id: str = attribute(default="", required=True, reference=Reference("users", OnDelete.CASCADE), max_length=ID)
    token_hash: str = attribute(default="", unique=True, pattern=SHA256_PATTERN, max_length=64)
    """SHA-256 of the token, in place of the token itself; no message has it."""
    user_agent: str = attribute(default="", max_length=1024)
    ip_address: str = attribute(default="", max_length=NAME)
    remember_me: bool = attribute(default=False)
    expire_time: datetime = attribute(default=EPOCH)
    last_active_time: datetime = attribute(default=EPOCH)


@entity("usages", unique=[("user_id", "what", "period")], indexes=[("create_time", "id")])
class Usage(Record):
    """How much of something a user has used, in a month or altogether."""

    user_id: str = attribute(default="", required=True, reference=Reference("users", OnDelete.CASCADE), max_length=ID)
    what: str = attribute(default="", required=True, max_length=NAME)
    period: str = attribute(default="", max_length=NAME)
    """The month, as 2026-11; empty for what is not counted by the month."""
    amount: int = attribute(default=0, output_only=True, minimum=0, counter=True)


@entity("reservations", indexes=[("user_id",), ("create_time", "id")])
class Reservation(Record):
    """A part of a usage, reserved by one request and given back as one."""

    user_id: str = attribute(default="", required=True, reference=Reference("users", OnDelete.CASCADE), max_length=ID)
    what: str = attribute(default="", required=True, max_length=NAME)
    period: str = attribute(default="", max_length=NAME)
    amount: int = attribute(default=0, minimum=1, maximum=LARGEST_RESERVATION)
