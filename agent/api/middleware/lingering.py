"""A caller that is refused while it sends a body gets the answer (RFC 9112, section 9.6)."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGER_S = 5.0


class Lingering:
    """ASGI middleware: before it closes a connection whose body has not arrived, it drops the rest for `LINGER_S`.

    TCP resets a connection that is closed with unread bytes, and the response may be lost: a proxy then makes it a 502.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        complete = closing = False

        async def noted() -> Message:
            nonlocal complete
            message = await receive()
            complete = not message.get("more_body", False)
            return message

        async def send_and_linger(message: Message) -> None:
            nonlocal closing
            if message["type"] == "http.response.start":
                closing = any(name.lower() == b"connection" and value == b"close" for name, value in message["headers"])
            elif closing and not complete and not message.get("more_body", False):
                await send({**message, "more_body": True})
                with suppress(TimeoutError):
                    async with asyncio.timeout(LINGER_S):
                        while not complete:
                            await noted()
                message = {"type": "http.response.body"}
            await send(message)

        await self.app(scope, noted, send_and_linger)
