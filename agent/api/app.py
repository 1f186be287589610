"""The API as one FastAPI application, which `agent.api.server` serves."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from agent.api import errors
from agent.api.access import KeyFirst
from agent.api.background.batch_worker import batches_worked
from agent.api.background.reload import policies_watched
from agent.api.limits import Limits, Traffic
from agent.api.middleware import observe
from agent.api.middleware.headers import Headers
from agent.api.middleware.observe import Observed
from agent.api.routes import batches, chat, conversations, files, images, moderations, policies, reviews, verdicts
from agent.moderator import Moderator
from agent.settings import Settings
from agent.store.batch_work import BatchWork
from agent.store.batches import Batches
from agent.store.conversations import Sessions
from agent.store.database import open_database, try_writing
from agent.store.files import Files
from agent.store.tenants import Tenants
from propriety.telemetry.logs import Logged, configure_logs
from propriety.telemetry.tracing import trace_to

log = logging.getLogger("propriety")


def create_app(moderator: Moderator | None = None) -> FastAPI:
    """The application; without a moderator, one is made from the settings.

    Raises:
        SQLAlchemyError: the database cannot be used.
    """
    if moderator is None:
        settings = Settings()
        configure_logs(settings.log_format, settings.log_prompts)
        moderator = Moderator(settings)
    settings = moderator.settings
    app = FastAPI(
        title="Propriety",
        version="0.1.0",
        description="Moderated drawing, by the customs of a place.",
        redirect_slashes=False,
        lifespan=_beside,
        responses={"4XX": {"model": errors.ErrorResponse}, "5XX": {"model": errors.ErrorResponse}},
    )
    app.state.moderator = moderator
    app.state.database = database = open_database(settings.decision_log_url)
    try_writing(database)
    app.state.tenants, app.state.sessions = Tenants(database), Sessions(database, settings)
    app.state.limits, app.state.traffic = Limits(), Traffic(settings.batch_concurrency)
    app.state.files, app.state.batches = Files(database, settings), Batches(database, settings)
    app.state.batch_work = BatchWork(database, app.state.files)
    if purged := moderator.purge():
        log.info("%d decisions older than %s days were deleted", purged, settings.retention_days)
    if purged := app.state.batches.purge(settings.oldest_kept):
        log.info("%d files that were too old or broken off were deleted", purged)
    if not app.state.tenants.configured():
        log.warning("no API key is configured: whoever asks from this machine is served, and nobody else")
    errors.install(app, larger={files.PATH: (settings.file_mib << 20) + errors.MAX_BODY})
    app.add_middleware(KeyFirst)
    app.add_middleware(Observed)
    app.add_middleware(Headers)
    app.add_middleware(Logged)
    for module in (moderations, chat, images, conversations, verdicts, files, batches, reviews, policies, observe):
        app.include_router(module.router)
    if settings.otlp_endpoint:
        trace_to(settings.otlp_endpoint, app, "propriety-agent")
    return app


@asynccontextmanager
async def _beside(app: FastAPI) -> AsyncIterator[None]:
    async with policies_watched(app), batches_worked(app):
        yield
    app.state.database.dispose()
