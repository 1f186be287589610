"""The whole API in front of small servers that imitate other image generators."""

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import openai
import pytest
from fastapi import FastAPI
from PIL import Image

from agent.api.app import create_app
from agent.settings import Settings

ClientFor = Callable[..., openai.OpenAI]


@pytest.fixture
def client_for(serve: Callable[[Any], Iterator[str]], moderator: Any) -> Iterator[ClientFor]:
    """Makes a client of an API that draws with `backend`, an application; `settings` say of which kind it is."""
    with ExitStack() as stack:

        def client(backend: FastAPI, path: str = "", **settings: Any) -> openai.OpenAI:
            url = stack.enter_context(contextmanager(serve)(backend))
            data = {"data_dir": moderator.settings.data_dir, "database_url": None, "keyless": True}
            own_moderator = moderator.with_settings(Settings(generator_url=url + path, **data, **settings))
            api = stack.enter_context(contextmanager(serve)(create_app(own_moderator)))
            return stack.enter_context(openai.OpenAI(base_url=f"{api}/v1", api_key="none", max_retries=0))

        yield client


@pytest.fixture(scope="session")
def png() -> Callable[..., bytes]:
    """A picture of a plain colour."""

    def make(width: int = 64, height: int = 64, colour: str = "green") -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", (width, height), colour).save(buffer, "PNG")
        return buffer.getvalue()

    return make
