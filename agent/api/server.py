"""The API's server, `python -m agent.api.server`: uvicorn, with limits on connections that ask nothing."""

from __future__ import annotations

import asyncio
import resource

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agent.settings import Settings

FILES = 16_384  # that may be open, where the system grants as many
SPARE = 512  # of them, which no caller takes from the database, the LLM and the generator
HEAD_S = 10.0


class Limited(HttpToolsProtocol):
    """Closes connections beyond those that there are files for, and those that take longer than `HEAD_S` to ask.

    uvicorn counts only those that ask, and waits for the others for ever.
    """

    most: int
    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()
        else:
            self._hurry()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._hurry()

    def _hurry(self) -> None:
        asked = self.cycle is not None and not self.cycle.response_complete
        if asked and self._due is not None:
            self._due.cancel()
            self._due = None
        elif not asked and self._due is None:
            self._due = self.loop.call_later(HEAD_S, self.timeout_keep_alive_handler)


def main() -> None:
    """Serve at the settings' address until SIGINT or SIGTERM."""
    settings, files = Settings(), _files()
    Limited.most = max(files - SPARE, files // 2)
    uvicorn.run("agent.api.app:create_app", factory=True, host=settings.host, port=settings.port, http=Limited)


def _files() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    granted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < granted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    return granted


if __name__ == "__main__":
    main()
