"""The storage as those see it who look after it: policies, backends, amounts, and upkeep told as it goes."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from grpc.aio import AioRpcError
from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse, ServerSentEvent

from gateway import problems, rendering
from gateway.identity import current_admin, current_user
from gateway.peers import SCAN_SECONDS
from gateway.routes.state import peers_of
from gateway.upkeep.checking import check
from gateway.upkeep.findings import Finding, Step, Summary
from gateway.upkeep.moving import Move, checked, move
from gateway.upkeep.reading import placements
from gateway.upkeep.replicating import replicate
from gateway.upkeep.scanning import GRACE, Scan, scan
from gateway.upkeep.statistics import statistics
from gateway.upkeep.sweeping import sweep
from modelyard.storage.v1.storage_pb2 import Access, Backend, ListBackendsRequest, OnError, Placement
from servicekit import errors

router = APIRouter(prefix="/api/storage", tags=["storage"], dependencies=[Depends(current_user)])


class QueryUnused(errors.InvalidInput):
    """This takes its wishes from the body, as JSON, and nothing from the address. Move {names} there."""

    field = "query"


async def nothing_in_query(request: Request) -> None:
    """Refuse what would be ignored: who writes ?dry_run=true must not see things deleted."""
    if request.query_params:
        raise QueryUnused(names=", ".join(sorted(request.query_params.keys())))


upkeep = APIRouter(
    prefix="/api/storage", tags=["storage"], dependencies=[Depends(current_admin), Depends(nothing_in_query)]
)
"""What only those may do who look after this Modelyard."""

PING_SECONDS = 15
KEY_BYTES = 900


class Wish(BaseModel):
    """What to sweep or replicate."""

    model_config = ConfigDict(extra="forbid")

    placement: str = ""
    dry_run: bool = False


class MoveWish(BaseModel):
    """What to move, and where to."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    placement: str
    source: Annotated[str, Field(alias="from")]
    target: Annotated[str, Field(alias="to")]
    prefix: Annotated[str, Field(max_length=KEY_BYTES)] = ""
    dry_run: bool = False


class ScanWish(BaseModel):
    """What to compare, and whether to mend it."""

    model_config = ConfigDict(extra="forbid")

    placement: str = ""
    repair: bool = False
    grace_seconds: Annotated[float, Field(ge=0, le=365 * 24 * 3600)] = GRACE.total_seconds()


EVERYTHING = Wish()
COMPARE_ALL = ScanWish()


@router.get("/backends")
async def list_backends(request: Request) -> Response:
    """Which backends there are, which can be reached, and why the others cannot."""
    peers = peers_of(request)
    answer = await peers.storage.ListBackends(ListBackendsRequest(), **peers.within(SCAN_SECONDS))
    return rendering.answer({"backends": [_backend(backend) for backend in answer.backends]})


def _backend(backend: Backend) -> rendering.Json:
    return {
        "name": backend.name,
        "configured": backend.configured,
        "reachable": backend.reachable,
        "reason": backend.reason,
    }


@router.get("/placements")
async def list_placements(request: Request) -> Response:
    """The policies in force."""
    shown = [_placement(policy) for policy in await placements(peers_of(request))]
    return rendering.answer({"placements": shown})


def _placement(policy: Placement) -> rendering.Json:
    return {
        "name": policy.name,
        "backends": list(policy.backends),
        "onError": OnError.Name(policy.on_error).removeprefix("ON_ERROR_").lower(),
        "keepLocalCopy": policy.keep_local_copy,
        "access": Access.Name(policy.access).removeprefix("ACCESS_").lower(),
        "expiresAfterSeconds": policy.expires_after.ToSeconds() if policy.HasField("expires_after") else None,
        "keyTemplate": policy.key_template,
    }


@upkeep.get("/stats")
async def get_statistics(request: Request) -> Response:
    """How much is kept in every placement and at every backend, by all users together."""
    return rendering.answer(await statistics(peers_of(request)))


@upkeep.post("/sweep")
async def sweep_expired(request: Request, wish: Wish = EVERYTHING) -> Response:
    """Delete what has expired, and tell each as it goes; with `dry_run` only tell."""
    peers = peers_of(request)
    await placements(peers, wish.placement)
    return _told(sweep(peers, wish.placement, wish.dry_run))


@upkeep.post("/replicate")
async def replicate_objects(request: Request, wish: Wish = EVERYTHING) -> Response:
    """Make the copies that are missing, and tell each as it goes; with `dry_run` only tell."""
    peers = peers_of(request)
    await placements(peers, wish.placement)
    return _told(replicate(peers, wish.placement, wish.dry_run))


@upkeep.post("/move")
async def move_objects(request: Request, wish: MoveWish) -> Response:
    """Move objects from one backend to another, and tell each as it goes; with `dry_run` only tell."""
    peers = peers_of(request)
    return _told(move(peers, await checked(peers, Move(**wish.model_dump()))))


@upkeep.post("/scan")
async def scan_all(request: Request, wish: ScanWish = COMPARE_ALL) -> Response:
    """Compare records with objects in both directions, and tell each difference; with `repair` mend what can be."""
    peers = peers_of(request)
    await placements(peers, wish.placement)
    return _told(scan(peers, Scan(wish.placement, wish.repair, timedelta(seconds=wish.grace_seconds))))


@upkeep.post("/check")
async def check_backends(request: Request) -> Response:
    """Try every backend that can be reached: bytes go in, come back, are compared, and are deleted."""
    trials = [trial.shown() async for trial in check(peers_of(request))]
    return rendering.answer({"ok": all(trial["ok"] for trial in trials), "trials": trials})


def _told(steps: AsyncGenerator[Step, None]) -> Response:
    return EventSourceResponse(_events(steps), ping=PING_SECONDS)


async def _events(steps: AsyncGenerator[Step, None]) -> AsyncIterator[ServerSentEvent]:
    """Findings and progress as they come, and at last complete or error, exactly one of the two."""
    summary = Summary()
    try:
        async with aclosing(steps):
            async for step in steps:
                summary.add(step)
                yield _event("finding", step.shown()) if isinstance(step, Finding) else _progress(summary)
    except (errors.Problem, AioRpcError) as error:
        yield _event("error", summary.shown() | {"error": _error(error)})
        return
    yield _event("complete", summary.shown())


def _progress(summary: Summary) -> ServerSentEvent:
    return _event("progress", summary.shown())


def _error(raised: errors.Problem | AioRpcError) -> Any:
    """The error of the problem document that the answer would have been, had it not begun already."""
    document = problems.of_problem(raised) if isinstance(raised, errors.Problem) else problems.of_status(raised)
    return orjson.loads(document.body)["error"]


def _event(kind: str, body: rendering.Json) -> ServerSentEvent:
    return ServerSentEvent(orjson.dumps({"type": kind} | body).decode(), event=kind)
