"""The parts that the routes use, opened when the application is made."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx
from fastapi import FastAPI

from agent.api.drawing.links import Links
from agent.api.limits import Limits
from agent.api.readiness import Readiness
from agent.api.traffic import Traffic
from agent.moderator import Moderator
from agent.settings import Settings
from agent.store.store import Store


@dataclass(frozen=True)
class Service:
    """One for each application; `backend` is the HTTP client of whatever draws."""

    moderator: Moderator
    limits: Limits
    traffic: Traffic
    readiness: Readiness
    backend: httpx.AsyncClient
    links: Links = field(default_factory=Links)

    @property
    def settings(self) -> Settings:
        return self.moderator.settings

    @property
    def store(self) -> Store:
        return self.moderator.store

    async def close(self) -> None:
        """Close the connections to backend, Redis and database."""
        await self.limits.close()
        await self.backend.aclose()
        self.store.close()


def service_of(app: FastAPI) -> Service:
    """The service behind an application."""
    service: Service = app.state.service
    return service
