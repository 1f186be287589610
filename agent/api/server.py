"""The API's server, `python -m agent.api.server`: uvicorn, with limits on idle connections and on request heads."""

from __future__ import annotations

import asyncio
import resource

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agent.settings import Settings

MAX_OPEN_FILES = 16_384  # if the system allows it
RESERVED_FILES = 512  # for the database, the LLM and the generator
REQUEST_HEAD_TIMEOUT_S = 10.0
MAX_HEAD = 1 << 16  # bytes; a request whose head is whole in the first read may have a few times as many
KEEP_ALIVE_S = 75  # proxies close an idle connection after 60 s: if we closed it first, their next request could fail
HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Limited(HttpToolsProtocol):
    """Closes connections above a limit, those that do not send a request head within `REQUEST_HEAD_TIMEOUT_S`, and
    those that send more than `MAX_HEAD` bytes in a row that belong to no body: a head, or trailers.

    uvicorn only counts connections with a request, waits for the others without end, and keeps heads of any length.
    """

    max_connections: int
    _timeout: asyncio.TimerHandle | None = None
    _bodiless = 0  # bytes received since the last one of a body, or the end of a message

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            transport.abort()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        self._bodiless += len(data)
        super().data_received(data)
        if self._bodiless > MAX_HEAD and not self.transport.is_closing():
            if not self._has_request():
                self.transport.write(HEAD_TOO_LARGE)
            self.transport.close()
        self._watch()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._bodiless = 0

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._bodiless = 0

    def _has_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        has_request = self._has_request()
        if has_request and self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None
        elif not has_request and self._timeout is None:
            self._timeout = self.loop.call_later(REQUEST_HEAD_TIMEOUT_S, self.timeout_keep_alive_handler)


def main() -> None:
    """Serve at the settings' address until SIGINT or SIGTERM."""
    settings, files = Settings(), _raise_file_limit()
    Limited.max_connections = max(files - RESERVED_FILES, files // 2)
    uvicorn.run(
        "agent.api.app:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        http=Limited,
        timeout_keep_alive=KEEP_ALIVE_S,
    )


def _raise_file_limit() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    granted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(MAX_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < granted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    return granted


if __name__ == "__main__":
    main()
