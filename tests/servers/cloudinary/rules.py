"""Cloudinary's rules: who may call, what a public id looks like, how labels are written."""

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, unquote

STALE_SECONDS = 3600
LONGEST_ID = 255
LONGEST_CONTEXT = 255
UNSIGNED = {"file", "api_key", "resource_type", "cloud_name", "signature"}
DELIVERY_TYPES = {"upload", "authenticated", "private"}

_FORBIDDEN_IN_ID = re.compile(r"[?&#\\%<>+\x00-\x1f]|^[ /]|[ /]$|//")
_SIGNATURE_LENGTHS = {8, 32}


class Refused(Exception):
    """The service answers with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def check_signature(params: Mapping[str, object], secret: str) -> None:
    """The call is signed with the secret, and not long ago."""
    timestamp = str(params.get("timestamp", ""))
    if not timestamp.isdigit():
        raise Refused(400, "Missing required parameter - timestamp")
    check_signed(params, secret)
    if abs(time.time() - int(timestamp)) > STALE_SECONDS:
        moment = datetime.fromtimestamp(int(timestamp), UTC)
        raise Refused(400, f"Stale request - reported time is {moment:%F %T} +0000 which is more than 1 hour ago")


def check_signed(params: Mapping[str, object], secret: str) -> None:
    """The signature is that of the parameters, by either of the algorithms."""
    given = str(params.get("signature", ""))
    text = string_to_sign(params)
    algorithm = hashlib.sha256 if len(given) == 64 else hashlib.sha1
    wanted = algorithm((text + secret).encode()).hexdigest()
    if not hmac.compare_digest(given.encode(), wanted.encode()):
        raise Refused(401, f"Invalid Signature {given}. String to sign - '{text}'.")


def string_to_sign(params: Mapping[str, object]) -> str:
    """The parameters as they are signed: sorted, and without the means to smuggle one in another's value."""
    pairs = []
    for name, value in params.items():
        text = ",".join(value) if isinstance(value, list) else str(value)
        if name not in UNSIGNED and text:
            pairs.append(f"{name}={text}".replace("&", "%26"))
    return "&".join(sorted(pairs))


def check_basic(header: str, key: str, secret: str) -> None:
    """The admin call carries the key and the secret."""
    scheme, _, credentials = header.partition(" ")
    wanted = base64.b64encode(f"{key}:{secret}".encode()).decode()
    if scheme.lower() != "basic" or not hmac.compare_digest(credentials.encode(), wanted.encode()):
        raise Refused(401, "Invalid credentials")


def check_public_id(public_id: str) -> str:
    """The id itself, when it is one."""
    if not public_id or len(public_id) > LONGEST_ID or _FORBIDDEN_IN_ID.search(public_id):
        raise Refused(400, f"public_id ({public_id}) is invalid")
    return public_id


def delivery_type(params: Mapping[str, object], name: str = "type") -> str:
    """The delivery type that a call means."""
    given = str(params.get(name) or "upload")
    if given not in DELIVERY_TYPES:
        raise Refused(400, f"Invalid type {given}")
    return given


def is_true(value: object) -> bool:
    """A flag as the SDKs write it."""
    return str(value).lower() in {"1", "true"}


def tags_of(text: object) -> list[str]:
    """Tags from their comma-separated form."""
    return [tag.strip() for tag in str(text or "").split(",") if tag.strip()]


def context_of(text: object) -> dict[str, str]:
    """Context from its form key=value|key=value, where a backslash takes the meaning from a separator."""
    entries = {}
    for entry in re.split(r"(?<!\\)\|", str(text or "")):
        if not entry:
            continue
        name, separator, value = entry.partition("=")
        value = re.sub(r"\\([|=])", r"\1", value)
        if not separator or not name or not value:
            raise Refused(400, f"Invalid context entry {name}")
        if len(name) + 1 + len(value) > LONGEST_CONTEXT:
            raise Refused(400, f"Context entry {name} is too long")
        entries[name] = value.strip()
    return entries


def check_delivery_signature(signature: str, source: str, secret: str) -> None:
    """A signature in a delivery address is that of the rest of it."""
    text = quote(unquote(source), safe="/:")  # "~" is signed as %7E
    text = text.replace("~", "%7E")
    allowed = {
        base64.urlsafe_b64encode(algorithm((text + secret).encode()).digest()).decode()[:length]
        for algorithm in (hashlib.sha1, hashlib.sha256)
        for length in _SIGNATURE_LENGTHS
    }
    if signature not in allowed:
        raise Refused(401, "Invalid signature")
