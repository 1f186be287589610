"""Work for a caller, over the ASGI messages that a server sends when the caller stays, or disconnects."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from propriety.http import while_connected


def run(scenario: Callable[[Request, asyncio.Queue[dict[str, Any]]], Coroutine[Any, Any, None]]) -> None:
    async def with_request() -> None:
        messages = asyncio.Queue[dict[str, Any]]()
        await asyncio.wait_for(scenario(Request({"type": "http"}, messages.get), messages), 5)

    asyncio.run(with_request())


class Work:
    """Work that ends when `may_end` is set, and records whether it was cancelled."""

    def __init__(self) -> None:
        self.started, self.may_end, self.cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def do(self) -> str:
        self.started.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return "done"


def test_the_result_is_returned_while_the_caller_stays() -> None:
    async def scenario(request: Request, messages: asyncio.Queue[dict[str, Any]]) -> None:
        work, tasks = Work(), asyncio.all_tasks()
        messages.put_nowait({"type": "http.request", "body": b""})
        work.may_end.set()
        assert await while_connected(request, work.do()) == "done"
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == tasks

    run(scenario)


def test_an_error_of_the_work_is_raised() -> None:
    async def fail() -> None:
        raise KeyError("wine")

    async def scenario(request: Request, messages: asyncio.Queue[dict[str, Any]]) -> None:
        with pytest.raises(KeyError, match="wine"):
            await while_connected(request, fail())

    run(scenario)


def test_the_work_is_cancelled_when_the_caller_disconnects() -> None:
    async def scenario(request: Request, messages: asyncio.Queue[dict[str, Any]]) -> None:
        work = Work()
        waiting = asyncio.create_task(while_connected(request, work.do()))
        await work.started.wait()
        messages.put_nowait({"type": "http.disconnect"})
        with pytest.raises(ClientDisconnect):
            await waiting
        await work.cancelled.wait()

    run(scenario)


def test_the_work_is_cancelled_with_the_request() -> None:
    async def scenario(request: Request, messages: asyncio.Queue[dict[str, Any]]) -> None:
        work = Work()
        waiting = asyncio.create_task(while_connected(request, work.do()))
        await work.started.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await work.cancelled.wait()

    run(scenario)
