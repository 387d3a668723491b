"""What the OpenAPI document says where the framework cannot see it: bodies that are read as they come, and errors."""

from collections.abc import Sequence
from typing import Any

from gateway.incoming import FIELDS, FILE_FIELDS

Described = dict[str, Any]

BYTES: Described = {"type": "string", "format": "binary"}
TEXT: Described = {"type": "string"}
ABOUT_A_DATASET = ("name", "target_column", "project_id")


def form(names: Sequence[str] = FIELDS) -> Described:
    """A form that holds a file, under either of two names, and such fields."""
    properties = {**dict.fromkeys(FILE_FIELDS, BYTES), **dict.fromkeys(names, TEXT)}
    either = [{"required": [name]} for name in FILE_FIELDS]
    return _body("multipart/form-data", {"type": "object", "anyOf": either, "properties": properties})


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
        "application/vnd.apache.arrow.file": {"schema": BYTES},
        "image/*": {"schema": BYTES},
        "application/octet-stream": {"schema": BYTES},
    }
    return {"requestBody": {"required": True, "content": content}}


def inference() -> Described:
    """Columns, or images in base64, as the Open Inference Protocol has them."""
    tensor = {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {
            "name": TEXT,
            "datatype": {"type": "string", "description": "BYTES, BOOL, FP64, INT64 …"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "data": {"type": "array", "items": {}},
        },
    }
    output = {"type": "object", "required": ["name"], "properties": {"name": TEXT}}
    properties = {
        "id": TEXT,
        "inputs": {"type": "array", "items": tensor, "minItems": 1},
        "outputs": {"type": "array", "items": output},
        "parameters": {"type": "object", "properties": {"log": {"type": "boolean"}}},
    }
    return _body("application/json", {"type": "object", "required": ["inputs"], "properties": properties})


def answers(media_type: str, description: str) -> dict[int | str, Described]:
    """What a route answers that is not JSON; its response class must have no media type of its own."""
    return {200: {"description": description, "content": {media_type: {"schema": TEXT}}}}


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
PROTOCOL_RESPONSES: dict[int | str, Described] = {
    "default": {
        "description": "An error, as the Open Inference Protocol has it.",
        "content": {
            "application/json": {"schema": {"type": "object", "required": ["error"], "properties": {"error": TEXT}}}
        },
    }
}
"""What every route of the protocol may answer."""
JOB_RESPONSES: dict[int | str, Described] = {
    200: {
        "description": "The job when it has ended, where `wait` asks for that; or, for whoever accepts "
        "text/event-stream, its events as they happen.",
        "content": {"application/json": {"schema": {}}, "text/event-stream": {"schema": TEXT}},
    }
}
"""What a route that queues a job answers besides the job."""
PACKAGE = answers("application/zip", "The package.")
FILE = answers("application/octet-stream", "The file, under the media type that it has.")
EVENTS = answers("text/event-stream", "The events, as they happen.")
