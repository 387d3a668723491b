"""Following a job: server-sent events while they come, asking again and again when they do not."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import httpx

from modelyard.errors import ModelyardError, raise_for_problem, transport_errors
from modelyard.records import Event, Job

ATTEMPTS = 3
"""Streams in a row that may break off without a word before we ask instead."""
QUIET_SECONDS = 60.0
"""A stream that is silent for this long is dead: the gateway sends a sign of life more often."""


def parse_events(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The events of a text/event-stream, each as its name and its data; comments are left out."""
    name, data = "message", list[str]()
    for line in lines:
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line and data:
            yield name, "\n".join(data)
        if not line:
            name, data = "message", []
        elif key == "event":
            name = value
        elif key == "data":
            data.append(value)


@dataclass
class Watch:
    """One job being followed until it has ended."""

    http: httpx.Client
    job_id: str
    fetch: Callable[[str], Job]
    poll_seconds: float = 1.0
    patience_seconds: float = 60.0
    """How long the gateway may be gone before we give up."""
    _last: Event | None = field(default=None, init=False)

    def events(self) -> Iterator[Event]:
        """Every change once; the last event has `ended`. Raises ModelyardError when the gateway stays away."""
        failures = 0
        while failures < ATTEMPTS:
            seen = self._last
            yield from self._streamed()
            if self._last is not None and self._last.ended:
                return
            failures = failures + 1 if self._last is seen else 0
            time.sleep(self.poll_seconds / 2)
        yield from self._polled()

    def _streamed(self) -> Iterator[Event]:
        """The events of one stream, until it ends or breaks off."""
        try:
            for event in self._received():
                if event != self._last:
                    self._last = event
                    yield event
                if event.ended:
                    return
        except ModelyardError as error:
            if not error.retryable:
                raise

    def _received(self) -> Iterator[Event]:
        timeout = httpx.Timeout(10, read=QUIET_SECONDS)
        headers = {"Accept": "text/event-stream"}
        with (
            transport_errors(str(self.http.base_url)),
            self.http.stream("GET", f"/api/jobs/{self.job_id}/events", headers=headers, timeout=timeout) as response,
        ):
            raise_for_problem(response)
            for name, data in parse_events(response.iter_lines()):
                if name in ("status", "progress", "complete", "error"):
                    yield event_of(name, data)

    def _polled(self) -> Iterator[Event]:
        while True:
            event = _as_event(self._patiently_fetched())
            if event != self._last:
                self._last = event
                yield event
            if event.ended:
                return
            time.sleep(self.poll_seconds)

    def _patiently_fetched(self) -> Job:
        give_up = time.monotonic() + self.patience_seconds
        while True:
            try:
                return self.fetch(self.job_id)
            except ModelyardError as error:
                if not error.retryable or time.monotonic() > give_up:
                    raise
            time.sleep(self.poll_seconds)


def event_of(name: str, data: str) -> Event:
    """An event from its name and its JSON."""
    body = json.loads(data)
    # A finished job's result may stand beside the other fields or under a key of its own.
    result = body.get("result") or (body if "model_id" in body else None)
    return Event.model_validate({"status": _STATUS_OF[name], **body, "type": name, "result": result})


_STATUS_OF = {"status": "processing", "progress": "processing", "complete": "completed", "error": "failed"}


def _as_event(job: Job) -> Event:
    kind = {"completed": "complete", "failed": "error", "cancelled": "error"}.get(job.status, "progress")
    return Event.model_validate({**job.model_dump(exclude={"id", "created_at", "updated_at"}), "type": kind})
