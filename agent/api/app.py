"""The API as one FastAPI application, which `agent.api.server` serves."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from agent.api import errors
from agent.api.background.batch_worker import batches_worked
from agent.api.background.purge import store_purged
from agent.api.background.reload import policies_watched
from agent.api.drawing.draw import backend_client
from agent.api.limits import open_limits
from agent.api.middleware.authentication import Authentication
from agent.api.middleware.headers import Headers
from agent.api.middleware.lingering import Lingering
from agent.api.middleware.timing import Timing
from agent.api.readiness import Readiness
from agent.api.routes import (
    batches,
    chat,
    conversations,
    docs,
    files,
    health,
    images,
    metrics,
    models,
    moderations,
    policies,
    responses,
    reviews,
    verdicts,
)
from agent.api.service import Service, service_of
from agent.api.traffic import Traffic
from agent.moderator import Moderator
from agent.open_moderator import open_moderator
from agent.settings import Settings
from agent.store.database import try_writing
from propriety.telemetry.access_log import AccessLog
from propriety.telemetry.logs import configure_logs
from propriety.telemetry.tracing import trace_to

log = logging.getLogger("propriety")

ROUTES = (
    moderations, chat, responses, images, models, conversations, verdicts, files, batches, reviews, policies, health,
    metrics, docs,
)  # fmt: skip


def create_app(moderator: Moderator | None = None) -> FastAPI:
    """The application; without a moderator, one is opened from the settings. It closes its moderator's store.

    Raises:
        PolicyError: a policy file is wrong.
        SQLAlchemyError: the database cannot be used.
    """
    if moderator is None:
        settings = Settings()
        configure_logs(settings.log_format, settings.log_prompts)
        moderator = open_moderator(settings)
        moderator.model.connect()
    settings, store = moderator.settings, moderator.store
    try_writing(store.database)
    app = FastAPI(
        title="Propriety",
        version="0.1.0",
        description="Moderated drawing, by the customs of a place.",
        redirect_slashes=False,
        docs_url=None,  # FastAPI's pages load scripts from a public CDN; `docs` has its own
        redoc_url=None,
        lifespan=_lifespan,
        responses={"4XX": {"model": errors.ErrorResponse}, "5XX": {"model": errors.ErrorResponse}},
    )
    app.state.service = Service(
        moderator=moderator,
        limits=open_limits(settings),
        traffic=Traffic(settings.batch_concurrency),
        readiness=Readiness(moderator),
        backend=backend_client(settings),
    )
    if not (settings.keyless or store.tenants.configured()):
        log.warning("no API key exists, so nobody is served; make one: propriety keys create NAME")
    errors.install(app, larger={files.PATH: (settings.file_mib << 20) + errors.MAX_BODY})
    for middleware in (Authentication, Timing, Headers, AccessLog, Lingering):  # the last one added runs first
        app.add_middleware(middleware)
    for module in ROUTES:
        app.include_router(module.router)
    if settings.otlp_endpoint:
        trace_to(settings.otlp_endpoint, app, "propriety-agent")
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service = service_of(app)
    async with policies_watched(service.moderator), store_purged(service.store), batches_worked(app):
        yield
    await service.close()
