"""The web application: routers of the API and of the pages, joined with one station."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from flawmap import __version__
from flawmap.station.config import StationConfig
from flawmap.station.context import Station
from flawmap.station.refusals import PROBLEMS
from flawmap.station.security.shield import Shield
from flawmap.station.web.errors import install_error_pages

# Modules with a `router`; those in `web` serve pages and are left out of the OpenAPI document.
ROUTERS = (
    "api.intake.inspect",  # the first to be tried: it has most of the requests
    "api.intake.inference",
    "api.parts",
    "api.products",
    "api.access.account",
    "api.access.audit",
    "api.access.keys",
    "api.access.users",
    "api.retention",
    "api.links",
    "api.operations",
    "api.reviews",
    "api.sources",
    "api.thresholds",
    "api.trends",
    "web.access.account",
    "web.access.audit",
    "web.access.keys",
    "web.access.login",
    "web.access.people",
    "web.access.reference",
    "web.frame.assets",
    "web.frame.events",
    "web.links",
    "web.live",
    "web.parts.images",
    "web.parts.listing",
    "web.parts.one",
    "web.products.begin",
    "web.products.improve",
    "web.products.one",
    "web.review",
    "web.storage",
    "web.thresholds",
    "web.trends",
)

# Modules with `NAME` and `create_service(station)`: what runs in the background, in this order.
SERVICES = (
    "intake.service",
    "delivery.service",
    "intake.sources",
    "observe.metrics",
    "opcua.service",
    "insight.trends.hours",
    "insight.drift.watch",
    "improve.shadow",
    "improve.service",
    "retention.service",
    "retention.sweeping",
)


def create_app(config: StationConfig) -> FastAPI:
    """Create the application of a station; its services run while the application does."""
    station = Station.open(config)
    for name in SERVICES:
        service = importlib.import_module(f"flawmap.station.{name}")
        station.services[service.NAME] = service.create_service(station)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        station.start()
        try:
            yield
        finally:
            station.stop()

    app = FastAPI(
        title="flawmap station",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's page loads scripts from the network: web.access.reference
        redoc_url=None,
        responses=PROBLEMS,
    )
    app.state.station = station
    app.add_middleware(Shield, station=station)
    install_error_pages(app)
    for name in ROUTERS:
        module = importlib.import_module(f"flawmap.station.{name}")
        app.include_router(module.router, include_in_schema=not name.startswith("web."))
    return app
