"""Puts the gateway together."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI

from gateway import problems
from gateway.flows.lookups import Lookups
from gateway.flows.workers import Workers
from gateway.limits import limited, limits_of
from gateway.middleware import Around
from gateway.peers import connect
from gateway.routes import (
    datasets,
    files,
    health,
    inference,
    jobs,
    models,
    predictions,
    projects,
    registry,
    search,
    storage,
    training,
    uploads,
    usage,
)
from gateway.routes.described import RESPONSES
from gateway.settings import GatewaySettings
from gateway.upkeep.timer import keep_up

DESCRIPTION = "Turns data into trained models, stores the bytes, records what happened, and loses none of the three."
ROUTERS = (
    datasets.router, training.router, jobs.router, models.router, predictions.router, projects.router, files.router,
    uploads.router, usage.router, search.router, registry.router, storage.router, storage.upkeep, inference.router,
    health.router,
)  # fmt: skip


def create_app(settings: GatewaySettings) -> FastAPI:
    """The gateway as an ASGI application."""
    app = FastAPI(
        title="Modelyard",
        version="0.1.0",
        description=DESCRIPTION,
        lifespan=_lifespan,
        dependencies=[Depends(limited)],
        responses=RESPONSES,
    )
    app.state.settings = settings
    app.state.limits = limits_of(settings)
    problems.register(app)
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(Around, settings=settings)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: GatewaySettings = app.state.settings
    app.state.peers = connect(settings)
    app.state.lookups = Lookups(app.state.peers)
    app.state.workers = Workers(app.state.peers, settings)
    running = [
        asyncio.create_task(app.state.workers.run()),
        asyncio.create_task(keep_up(app.state.peers, settings.upkeep_seconds)),
    ]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await app.state.peers.close()
