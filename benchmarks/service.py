"""Propriety's service, started for a benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.settings import Settings
from agent.stack import Part
from agent.stack.serve import plan
from agent.stack.supervise import supervise
from agent.terminal.console import errors
from benchmarks.client import free_port


@contextmanager
def service(settings: Settings) -> Iterator[str]:
    """Start a service with its own database, give its URL, and stop it at the end.

    Raises:
        StartError: it does not start.
    """
    port = free_port()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="load", dir=settings.data_dir) as folder:
        own = {"host": "127.0.0.1", "port": port, "database_url": f"sqlite:///{folder}/propriety.db"}
        started = settings.model_copy(update=own)
        with supervise(plan(started, {Part.API}), Path(folder), settings.startup_timeout_s, errors):
            yield f"http://127.0.0.1:{port}"
