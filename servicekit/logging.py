"""Structured logging: one event a line, with the request's id, and no secret in it."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from servicekit.settings import Settings

SECRET_WORDS = ("secret", "password", "token", "authorization", "api_key", "signature", "connection_string")
NO_SECRETS = {"fencing_token"}  # a number that tells claims of a job apart


def configure(settings: Settings, process: str) -> None:
    """Send this process's log, and that of its libraries, to standard error."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr, format="%(name)s: %(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            hide_secrets,
            structlog.processors.format_exc_info,
            _renderer(settings),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,  # most calls log nothing, and should pay nothing
    )
    structlog.contextvars.bind_contextvars(process=process)


def _renderer(settings: Settings) -> structlog.typing.Processor:
    if settings.log_format == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())


def hide_secrets(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank the value of every key that names a secret."""
    for key in event:
        if key not in NO_SECRETS and any(word in key.lower() for word in SECRET_WORDS):
            event[key] = "***"
    return event


def get_logger() -> structlog.stdlib.BoundLogger:
    """A logger; cheap, to be held in a module."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger()
    return logger
