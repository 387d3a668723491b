"""The storage behind a Modelyard, for those who look after it. `Client.storage` gives one of these."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import httpx
from pydantic import Field

from modelyard.errors import ModelyardError, raise_for_problem, transport_errors
from modelyard.events import QUIET_SECONDS, parse_events
from modelyard.records import BackendHealth, Record

STATS_SECONDS = 600.0
"""The gateway looks at every object to count them."""


class Amount(Record):
    """Objects, and their bytes."""

    count: int = 0
    size: int = 0


class Shelf(Amount):
    """What one placement keeps, in all and at each backend."""

    backends: Mapping[str, Amount] = {}
    fallback: Amount = Amount()
    """What a backend keeps that is not its home."""
    expiring: Amount = Amount()


class Amounts(Amount):
    """What all users keep."""

    placements: Mapping[str, Shelf] = {}
    backends: Mapping[str, Amount] = {}


class Placement(Record):
    """A policy: where objects of one kind are kept, and what happens when that fails."""

    name: str
    backends: tuple[str, ...] = ()
    """In order of preference; the first is home to new objects."""
    on_error: str = ""
    keep_local_copy: bool = False
    access: str = ""
    expires_after_seconds: int | None = None
    key_template: str = ""


class Usage(Amount):
    """What one user keeps."""

    user_id: str = ""
    placements: Mapping[str, Amount] = {}
    quota_size: int | None = None
    """Most bytes the user may keep; None where there is no limit."""
    remaining_size: int | None = None


class Finding(Record):
    """One thing that upkeep came upon, and what became of it."""

    kind: str
    outcome: Literal["done", "planned", "open", "failed"]
    message: str = ""
    placement: str = ""
    key: str = ""
    size: int = 0
    """Bytes."""
    backend: str = ""
    artifact_id: str = ""


class Summary(Record):
    """How far upkeep is; the last one has `ended`."""

    type: Literal["progress", "complete"] = "progress"
    looked_at: int = 0
    size: int = 0
    """Bytes of what was done, or would be."""
    kinds: Mapping[str, int] = Field(default_factory=dict)
    done: int = 0
    planned: int = 0
    open: int = 0
    failed: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.type == "complete"


class Trial(Record):
    """How one part of the test of a backend came out."""

    backend: str
    part: str
    ok: bool
    message: str = ""


Told = Iterator[Finding | Summary]


class Storekeeping:
    """What can be asked of the storage, and done for it. Every method raises ModelyardError when it cannot be."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def backends(self) -> list[BackendHealth]:
        """Which places for bytes there are, and which can be used."""
        return [BackendHealth.model_validate(each) for each in self._get("/api/storage/backends")["backends"]]

    def placements(self) -> list[Placement]:
        """The policies in force."""
        return [Placement.model_validate(each) for each in self._get("/api/storage/placements")["placements"]]

    def amounts(self) -> Amounts:
        """How much all users together keep, by placement and by backend."""
        return Amounts.model_validate(self._get("/api/storage/stats", STATS_SECONDS))

    def usage(self) -> Usage:
        """How much you keep, and your quota."""
        return Usage.model_validate(self._get("/api/usage", STATS_SECONDS))

    def sweep(self, placement: str = "", dry_run: bool = False) -> Told:
        """Delete what has expired, or tell what would be: each finding as it comes, at last the summary."""
        return self._told("sweep", {"placement": placement, "dry_run": dry_run})

    def replicate(self, placement: str = "", dry_run: bool = False) -> Told:
        """Make the copies that are missing, or tell which would be."""
        return self._told("replicate", {"placement": placement, "dry_run": dry_run})

    def move(self, placement: str, source: str, target: str, prefix: str = "", dry_run: bool = False) -> Told:
        """Move objects from one backend to another, or tell which would be."""
        wish = {"placement": placement, "from": source, "to": target, "prefix": prefix, "dry_run": dry_run}
        return self._told("move", wish)

    def scan(self, placement: str = "", repair: bool = False, grace_seconds: float = 24 * 3600) -> Told:
        """Compare records with objects, and mend what can be when asked to.

        Objects without a record that are younger than the grace may be those of uploads on their way.
        """
        return self._told("scan", {"placement": placement, "repair": repair, "grace_seconds": grace_seconds})

    def check(self) -> list[Trial]:
        """Try every backend that can be reached: bytes go in, come back, are compared, and are deleted."""
        with transport_errors(str(self._http.base_url)):
            response = self._http.post("/api/storage/check", timeout=STATS_SECONDS)
        raise_for_problem(response)
        return [Trial.model_validate(each) for each in response.json()["trials"]]

    def _get(self, path: str, seconds: float = 60) -> Any:
        with transport_errors(str(self._http.base_url)):
            response = self._http.get(path, timeout=seconds)
        raise_for_problem(response)
        return response.json()

    def _told(self, what: str, wish: dict[str, Any]) -> Told:
        timeout = httpx.Timeout(30, read=QUIET_SECONDS)
        with (
            transport_errors(str(self._http.base_url)),
            self._http.stream("POST", f"/api/storage/{what}", json=wish, timeout=timeout) as response,
        ):
            raise_for_problem(response)
            for name, data in parse_events(response.iter_lines()):
                step = _step(name, json.loads(data))
                yield step
                if isinstance(step, Summary) and step.ended:
                    return
        message = "The answer broke off. What is done is done; the same command goes on with the rest."
        raise ModelyardError(0, "CONNECTION_LOST", message, retryable=True)


def _step(name: str, body: dict[str, Any]) -> Finding | Summary:
    if name == "error":
        error = body["error"]
        raise ModelyardError(0, error["code"], error["message"], error["retryable"])
    return Finding.model_validate(body) if name == "finding" else Summary.model_validate(body)
