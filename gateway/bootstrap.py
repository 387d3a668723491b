"""Puts the gateway together."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from gateway import problems
from gateway.flows.workers import Workers
from gateway.middleware import Around
from gateway.peers import connect
from gateway.routes import datasets, files, health, jobs, models, training
from gateway.settings import GatewaySettings

DESCRIPTION = "Turns data into trained models, stores the bytes, records what happened, and loses none of the three."
ROUTERS = (datasets.router, training.router, jobs.router, models.router, files.router, health.router)


def create_app(settings: GatewaySettings) -> FastAPI:
    """The gateway as an ASGI application."""
    app = FastAPI(title="Modelyard", version="0.1.0", description=DESCRIPTION, lifespan=_lifespan)
    app.state.settings = settings
    problems.register(app)
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(Around, settings=settings)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: GatewaySettings = app.state.settings
    app.state.peers = connect(settings)
    app.state.workers = Workers(app.state.peers, settings)
    working = asyncio.create_task(app.state.workers.run())
    try:
        yield
    finally:
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        await app.state.peers.close()
