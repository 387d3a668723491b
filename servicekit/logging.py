"""Structured logging: one event a line, with the request's id, and no secret in it."""

import logging
import sys
import threading
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from servicekit.settings import Settings

SECRET_WORDS = ("secret", "password", "token", "authorization", "api_key", "signature", "connection_string")
NO_SECRETS = {"fencing_token"}  # a number that tells claims of a job apart


def configure(settings: Settings, process: str) -> None:
    """Send this process's log, and that of its libraries, to standard error."""
    level, lines = logging.getLevelNamesMapping()[settings.log_level.upper()], _Lines(sys.stderr)
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr, format="%(name)s: %(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            lines.tell_failed,
            hide_secrets,
            structlog.processors.format_exc_info,
            _renderer(settings),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,  # most calls log nothing, and should pay nothing
    )
    structlog.contextvars.bind_contextvars(process=process)


class _Lines:
    """Where lines of the log go. One that cannot be written, because the disk is full or the reader of the pipe left,
    must not undo what it tells of: the next that can be written says how many failed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._failed = 0

    def write(self, line: str) -> None:
        """Write a line, or count it."""
        with self._lock:
            try:
                self._stream.write(f"{line}\n")
                self._stream.flush()
            except OSError:
                self._failed += 1
            else:
                self._failed = 0

    debug = info = warning = error = critical = write

    def tell_failed(self, _: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Add how many lines before this one could not be written, where there are any."""
        return {**event, "lines_failed": self._failed} if self._failed else event


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
