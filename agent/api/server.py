"""The API's server, `python -m agent.api.server`: uvicorn, with limits on idle connections."""

from __future__ import annotations

import asyncio
import resource

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agent.settings import Settings

MAX_OPEN_FILES = 16_384  # if the system allows it
RESERVED_FILES = 512  # for the database, the LLM and the generator
REQUEST_HEAD_TIMEOUT_S = 10.0


class Limited(HttpToolsProtocol):
    """Closes connections above a limit, and those that do not send a request head within `REQUEST_HEAD_TIMEOUT_S`.

    uvicorn only counts connections with a request, and waits for the others without end.
    """

    max_connections: int
    _timeout: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            transport.abort()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def _watch(self) -> None:
        has_request = self.cycle is not None and not self.cycle.response_complete
        if has_request and self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None
        elif not has_request and self._timeout is None:
            self._timeout = self.loop.call_later(REQUEST_HEAD_TIMEOUT_S, self.timeout_keep_alive_handler)


def main() -> None:
    """Serve at the settings' address until SIGINT or SIGTERM."""
    settings, files = Settings(), _raise_file_limit()
    Limited.max_connections = max(files - RESERVED_FILES, files // 2)
    uvicorn.run("agent.api.app:create_app", factory=True, host=settings.host, port=settings.port, http=Limited)


def _raise_file_limit() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    granted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(MAX_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < granted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    return granted


if __name__ == "__main__":
    main()
