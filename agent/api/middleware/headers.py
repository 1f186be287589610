"""Security headers for browsers, from OWASP's REST Security Cheat Sheet."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_ENCODED = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class Headers:
    """ASGI middleware: adds `HEADERS` unless the route set another value."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                chosen = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in _ENCODED if pair[0] not in chosen)]
            await send(message)

        await self.app(scope, receive, headed)
