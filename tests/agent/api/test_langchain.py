"""LangChain's standard tests of a chat model: its client for OpenAI, in front of a real API process without an LLM."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from agent.store.database import open_database
from agent.store.tenants import Scope, Tenants, Terms
from propriety.verdict import Detector

pytestmark = [
    pytest.mark.slow,
    pytest.mark.anyio,
    # What the properties below declare, and a benchmark that replays recorded responses of a paid service.
    pytest.mark.inapplicable(
        "Test requires tool calling", "Test requires tool choice", "Test requires structured output",
        "Test requires json mode", "Model does not support", "Model does not explicitly support", "VCR not set up",
    ),
]  # fmt: skip


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def benchmark() -> None:
    """For the test that skips itself only after it got this fixture."""


@pytest.fixture(scope="module")
def api(start_api: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Address and key of an API, as the client's parameters."""
    folder = tmp_path_factory.mktemp("api")
    database = open_database(f"sqlite:///{folder}/propriety.db")
    terms = Terms(scopes=[Scope.MODERATE], detector=Detector.NEAREST, per_minute=None)
    key = Tenants(database).create("acme", terms)
    database.dispose()
    with start_api(folder) as (url, _):
        yield {"base_url": f"{url}/v1", "api_key": key}


class TestChatCompletions(ChatModelIntegrationTests):
    """The reply is a prompt or an explanation: nothing calls tools, fills in a schema, or looks at pictures."""

    has_tool_calling = has_tool_choice = has_structured_output = False
    model_override_value = "propriety-nearest"
    api: dict[str, Any]

    @pytest.fixture(autouse=True)
    def _use_api(self, api: dict[str, Any]) -> None:
        type(self).api = api

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        # Without kept connections: each asynchronous test has an event loop, in which they would have to be closed.
        client = httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0))
        return {"model": "propriety", "stream_usage": True, "http_async_client": client, **self.api}


class TestResponses(TestChatCompletions):
    """The same over `/v1/responses`."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**super().chat_model_params, "use_responses_api": True}
