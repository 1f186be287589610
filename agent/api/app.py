"""The API as one FastAPI application: `uvicorn --factory agent.api.app:create_app`."""

from __future__ import annotations

from fastapi import FastAPI

from agent.api import chat, errors, images, moderations, policies
from agent.moderator import Moderator
from agent.settings import Settings


def create_app(moderator: Moderator | None = None) -> FastAPI:
    """The application; without a moderator, one is made from the settings."""
    app = FastAPI(
        title="Propriety",
        version="0.1.0",
        description="Moderated drawing, by the customs of a place.",
        redirect_slashes=False,
        responses={"4XX": {"model": errors.ErrorResponse}, "5XX": {"model": errors.ErrorResponse}},
    )
    app.state.moderator = moderator or Moderator(Settings())
    errors.install(app)
    for module in (moderations, chat, images, policies):
        app.include_router(module.router)
    return app
