"""Starting everything on one machine: `propriety serve`."""

from __future__ import annotations

from enum import StrEnum


class Part(StrEnum):
    """What `propriety serve` can start."""

    LLM = "llm"
    GENERATOR = "generator"
    API = "api"


class StartError(RuntimeError):
    """Propriety cannot start, or a part of it has died; the message is for the person at the terminal."""
