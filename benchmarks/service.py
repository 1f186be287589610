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
from agent.store.database import open_database
from agent.store.tenants import ADMIN, Tenants
from agent.terminal.console import errors
from benchmarks.client import free_port


@contextmanager
def service(settings: Settings) -> Iterator[str]:
    """Start a service that needs no key for verdicts, give its URL, and stop it at the end.

    Raises:
        StartError: it does not start.
    """
    with service_with_key(settings) as (url, _):
        yield url


@contextmanager
def service_with_key(settings: Settings) -> Iterator[tuple[str, str]]:
    """As `service`; gives its URL and a key for its metrics. Its database is new."""
    port = free_port()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="load", dir=settings.data_dir) as folder:
        own = {"host": "127.0.0.1", "port": port, "database_url": f"sqlite:///{folder}/propriety.db"}
        started = settings.model_copy(update={**own, "keyless": True})
        database = open_database(started.decision_log_url)
        key = Tenants(database).create(*ADMIN)
        database.dispose()
        with supervise(plan(started, {Part.API}), Path(folder), settings.startup_timeout_s, errors):
            yield f"http://127.0.0.1:{port}", key
