"""What the OpenAPI document says where the framework cannot see it: bodies that are read as they come, and errors."""

from collections.abc import Sequence
from typing import Any

from gateway.incoming import FIELDS

Described = dict[str, Any]

BYTES: Described = {"type": "string", "format": "binary"}
TEXT: Described = {"type": "string"}
ABOUT_A_DATASET = ("name", "target_column", "project_id")


def form(names: Sequence[str] = FIELDS) -> Described:
    """A form that holds a file and such fields."""
    properties = {"file": BYTES, **dict.fromkeys(names, TEXT)}
    return _body("multipart/form-data", {"type": "object", "required": ["file"], "properties": properties})


def raw(names: Sequence[str] = ()) -> Described:
    """Bytes as the body, and such fields in the query."""
    return _body("application/octet-stream", BYTES) | {
        "parameters": [{"name": name, "in": "query", "required": False, "schema": TEXT} for name in names]
    }


def rows() -> Described:
    """Rows, as JSON, a CSV table or an Arrow stream, or an image."""
    row = {"type": "object", "additionalProperties": True}
    asked = {
        "type": "object",
        "required": ["rows"],
        "properties": {"rows": {"type": "array", "items": row}, "log": {"type": "boolean", "default": False}},
    }
    content = {
        "application/json": {"schema": asked},
        "text/csv": {"schema": TEXT},
        "application/vnd.apache.arrow.stream": {"schema": BYTES},
        "image/*": {"schema": BYTES},
    }
    return {"requestBody": {"required": True, "content": content}}


def _body(media_type: str, schema: Described) -> Described:
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


ERROR: Described = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "error"],
    "properties": {
        "type": TEXT,
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "One sentence for people: what is wrong, and what to do."},
        "error": {
            "type": "object",
            "required": ["code", "message", "retryable"],
            "properties": {"code": TEXT, "message": TEXT, "retryable": {"type": "boolean"}},
        },
        "errors": {
            "type": "array",
            "items": {"type": "object", "properties": {"field": TEXT, "detail": TEXT}},
        },
    },
}
RESPONSES: dict[int | str, Described] = {
    "default": {
        "description": "A problem (RFC 9457).",
        "content": {"application/problem+json": {"schema": ERROR}},
    }
}
"""What every route may answer."""
