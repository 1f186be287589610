"""HTTP for what other servers answer: at most so many bytes, announced or not, since httpx reads whatever comes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

MAX_ANSWER = 256 << 20  # ten PNGs of 2048 × 2048 in base64


class BoundedTransport(httpx.AsyncHTTPTransport):
    """Raises `httpx.ReadError` for an answer of more than `MAX_ANSWER` bytes, or one that is compressed, since what
    that holds is not known."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Accept-Encoding"] = "identity"
        response = await super().handle_async_request(request)
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await stream.aclose()
            raise httpx.ReadError("the answer is compressed, though that was not asked for", request=request)
        response.stream = _Counted(stream, request)
        return response


class _Counted(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, request: httpx.Request) -> None:
        self._stream, self._request = stream, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for part in self._stream:
            received += len(part)
            if received > MAX_ANSWER:
                raise httpx.ReadError(f"the answer is larger than {MAX_ANSWER} bytes", request=self._request)
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
