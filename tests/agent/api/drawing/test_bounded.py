"""Responses of a real server that sends too much."""

import asyncio
import gzip
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse

from agent.api.drawing import bounded
from agent.api.drawing.bounded import BoundedTransport


@pytest.fixture(scope="module")
def server(serve) -> Iterator[str]:
    app = FastAPI()

    @app.get("/short")
    async def short() -> Response:
        return Response(b"x" * 1000)

    @app.get("/announced")
    async def announced() -> Response:
        return Response(b"x" * 1001)

    @app.get("/endless")
    async def endless() -> StreamingResponse:
        def forever() -> Iterator[bytes]:
            while True:
                yield b"x" * 100

        return StreamingResponse(forever())

    @app.get("/compressed")
    async def compressed() -> Response:
        return Response(gzip.compress(b"x" * 100_000), headers={"Content-Encoding": "gzip"})

    yield from serve(app)


@pytest.fixture
def get(server, monkeypatch):
    monkeypatch.setattr(bounded, "MAX_RESPONSE", 1000)

    async def fetch(path: str) -> bytes:
        async with httpx.AsyncClient(base_url=server, transport=BoundedTransport()) as client:
            return (await client.get(path)).content

    return lambda path: asyncio.run(fetch(path))


def test_a_short_response_is_read(get):
    assert get("/short") == b"x" * 1000


@pytest.mark.parametrize(
    ("path", "reason"), [("/announced", "larger"), ("/endless", "larger"), ("/compressed", "compressed")]
)
def test_a_response_that_is_too_large_or_compressed_is_refused(get, path, reason):
    with pytest.raises(httpx.ReadError, match=reason):
        get(path)
