"""The API as one FastAPI application: `uvicorn --factory agent.api.app:create_app`."""

from __future__ import annotations

import logging

from fastapi import FastAPI

from agent.api import chat, conversations, errors, images, moderations, observe, policies, reviews, verdicts
from agent.api.headers import Headers
from agent.api.limits import Limits
from agent.api.observe import Observed
from agent.api.reload import policies_watched
from agent.database import open_database
from agent.logs import configure_logs
from agent.moderator import Moderator
from agent.sessions import Sessions
from agent.settings import Settings
from agent.tenants import Tenants
from agent.tracing import trace_to

log = logging.getLogger("propriety")


def create_app(moderator: Moderator | None = None) -> FastAPI:
    """The application; without a moderator, one is made from the settings."""
    if moderator is None:
        settings = Settings()
        configure_logs(settings)
        moderator = Moderator(settings)
    app = FastAPI(
        title="Propriety",
        version="0.1.0",
        description="Moderated drawing, by the customs of a place.",
        redirect_slashes=False,
        lifespan=policies_watched,
        responses={"4XX": {"model": errors.ErrorResponse}, "5XX": {"model": errors.ErrorResponse}},
    )
    app.state.moderator = moderator
    if purged := moderator.purge():
        log.info("%d decisions older than %s days were deleted", purged, moderator.settings.retention_days)
    database = open_database(moderator.settings.decision_log_url)
    app.state.tenants, app.state.limits = Tenants(database), Limits()
    app.state.sessions = Sessions(database, moderator.settings)
    if not app.state.tenants.configured():
        log.warning("no API key is configured: whoever asks from this machine is served, and nobody else")
    errors.install(app)
    app.add_middleware(Observed)
    app.add_middleware(Headers)
    for module in (moderations, chat, images, conversations, verdicts, reviews, policies, observe):
        app.include_router(module.router)
    if moderator.settings.otlp_endpoint:
        trace_to(moderator.settings.otlp_endpoint, app)
    return app
