"""An HTTP transport that bounds responses, announced or not; httpx alone reads any size."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

MAX_RESPONSE = 256 << 20  # bytes: ten PNGs of 2048 × 2048 in base64


class BoundedTransport(httpx.AsyncHTTPTransport):
    """Raises `httpx.ReadError` for a response of more than `MAX_RESPONSE` bytes, and for a compressed one, whose real
    size is unknown."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Accept-Encoding"] = "identity"
        response = await super().handle_async_request(request)
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await stream.aclose()
            raise httpx.ReadError("the response is compressed, which was not requested", request=request)
        response.stream = _Counted(stream, request)
        return response


class _Counted(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, request: httpx.Request) -> None:
        self._stream, self._request = stream, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for part in self._stream:
            received += len(part)
            if received > MAX_RESPONSE:
                raise httpx.ReadError(f"the response is larger than {MAX_RESPONSE} bytes", request=self._request)
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
