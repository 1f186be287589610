"""A real server in front of a moderator that decides by single words, so that only the routes are tested."""

import base64
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from copy import copy
from pathlib import Path
from typing import Any

import openai
import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from agent.api.app import create_app
from agent.basis import place_for
from agent.moderator import BadPromptError
from agent.open_moderator import open_moderator
from agent.policy.files import load_policies
from agent.policy.model import Policy
from agent.retrieval.rulebook import stamp
from agent.settings import Settings
from agent.store.store import Store
from agent.store.tenants import ANYONE, Tenant
from propriety.verdict import (
    Action,
    Category,
    ChatMessage,
    Detector,
    PolicyRef,
    Severity,
    Span,
    Status,
    Verdict,
    Violation,
)

SMALL_POLICIES = Path(__file__).parents[2] / "small_policies"


class ShippedPolicies(dict[str, Policy]):
    """The shipped policies, without an index of their concepts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(load_policies(folder))
        self.seen, self.problem = stamp(folder), None


class NoExemplars:
    def refresh(self) -> None:
        pass


class WordCounter:
    def count_tokens(self, text: str) -> int:
        return len(text.split())


class WordModerator:
    """Rewrites `wine`, blocks `gun`, raises an error on `crash`, fails closed on `outage`, and allows the rest."""

    exemplars, model, encoder = NoExemplars(), None, WordCounter()

    def __init__(self, generator_url: str, data_dir: Path) -> None:
        self.settings = Settings(generator_url=generator_url, data_dir=data_dir, database_url=None, keyless=True)
        self.policies, self.store = ShippedPolicies(self.settings.policies_dir), Store(self.settings)
        self.calls: list[tuple[list[ChatMessage], str, Detector | None]] = []

    def with_settings(self, settings: Settings) -> "WordModerator":
        """A copy with these settings and its own store, which does not read the policies again."""
        other = copy(self)
        other.settings, other.store = settings, Store(settings)
        return other

    async def moderate(
        self,
        messages: Sequence[ChatMessage],
        locale: str | None = None,
        detector: Detector | None = None,
        tenant: Tenant = ANYONE,
    ) -> Verdict:
        place = place_for(tenant, locale, detector, self.policies, self.settings)
        locale = place.locale
        self.calls.append((list(messages), locale, place.detector if tenant is not ANYONE else detector))
        prompt = messages[-1].content
        if not prompt.strip() or len(prompt) > 10_000:
            raise BadPromptError("the prompt is empty or longer than 10000 characters")
        if "crash" in prompt:
            raise RuntimeError("a secret of the server")
        word, category, severity = (
            ("gun", Category.VIOLENT_CRIMES, Severity.HIGH)
            if "gun" in prompt
            else ("wine", Category.REGULATED_SUBSTANCES, Severity.MEDIUM)
        )
        start = prompt.find(word)
        violations = [
            Violation(
                rule_id=f"rule.{word}", category=category, severity=severity, confidence=0.9, rationale="the word",
                spans=[Span(start=start, end=start + len(word), text=word)],
            )
        ] if start >= 0 else []  # fmt: skip
        blocked = word == "gun" or "outage" in prompt
        verdict = Verdict(
            id=f"v-{uuid.uuid4().hex}", status=Status.ERROR if "outage" in prompt else Status.OK,
            action=Action.BLOCK if blocked else Action.REWRITE if violations else Action.ALLOW,
            severity=severity if violations else None, flagged=bool(violations), score=0.9 if violations else 0.1,
            violations=violations, prompt=prompt, safe_prompt=None if blocked else prompt.replace("wine", "juice"),
            fidelity=None if blocked else 0.95, wxi=None if blocked else 0.8 * bool(violations),
            tau_gc=None if blocked else 0.2, locale=locale, policy=PolicyRef(locale=locale, version="1", hash="0"),
            model="words", message="nicht erlaubt" if violations else None, timings_ms={"total": 1.0},
        )  # fmt: skip
        self.store.decisions.write_all([(verdict, tenant.name)])
        return verdict


def _serve(app: FastAPI) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)


Serve = Callable[[FastAPI], Iterator[str]]


@pytest.fixture(scope="session")
def serve() -> Serve:
    """Serves an application until the iterator that yields its URL is closed."""
    return _serve


@pytest.fixture
def start(start_api: Callable[..., Any], tmp_path: Path) -> Iterator[Callable[..., tuple[str, Any]]]:
    """Like `start_api`, in one folder, until the test ends."""
    with ExitStack() as started:
        yield lambda database_url, **settings: started.enter_context(
            start_api(tmp_path, database_url=database_url, **settings)
        )


@pytest.fixture(scope="session")
def worker(serve: Serve) -> Iterator[str]:
    """Stands in for the drawing worker; its pictures are their seeds.

    A word of the prompt decides: it fails on `smudge`, is busy on `crowd`, returns an invalid response on `stranger`
    and `short`, blocks the first picture on `shady`, and blocks all on `dark`. It draws no `stamp` wider than 128.
    """
    app = FastAPI()

    @app.post("/v1/draw")
    async def draw(request: Request) -> object:
        order = await request.json()
        if "smudge" in order["prompt"]:
            return JSONResponse({"error": {"message": "Drawing failed.", "param": None, "type": "internal_error"}}, 500)
        if "crowd" in order["prompt"]:
            error = {"message": "64 pictures wait already.", "param": None, "type": "busy"}
            return JSONResponse({"error": error}, 429, {"Retry-After": "20"})
        if "stamp" in order["prompt"] and (order["width"] or 64) > 128:
            error = {"message": "The model's own size is 64x64.", "param": "width", "type": "cannot_draw"}
            return JSONResponse({"error": error}, 422)
        if "stranger" in order["prompt"]:
            return {"hello": "world"}
        knobs = {key: order[key] for key in ("wxi", "tau_gc")} | {"prompt": order["safe_prompt"] or order["prompt"]}
        sampling = {
            "fused_steps": 0, "denoiser_rows": 2, "steps": 1, "guidance_scale": 1, "sampler": "ddim", "model": "m",
        }  # fmt: skip
        size = {"width": order["width"] or 64, "height": order["height"] or 64}
        seeds = range(order["seed"], order["seed"] + order["n"] - ("short" in order["prompt"]))
        blocked = [seed for seed in seeds if "dark" in order["prompt"]] or [order["seed"]] * (
            "shady" in order["prompt"]
        )
        return {
            "images": [None if seed in blocked else base64.b64encode(str(seed).encode()).decode() for seed in seeds],
            "parameters": [{**knobs, **sampling, **size, "seed": seed} for seed in seeds],
            "notes": [["Blocked by the last look."] if seed in blocked else [] for seed in seeds],
        }

    yield from serve(app)


@pytest.fixture(scope="session")
def word_moderator(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], WordModerator]:
    return lambda generator_url: WordModerator(generator_url, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def moderator(worker: str, word_moderator: Callable[[str], WordModerator]) -> WordModerator:
    return word_moderator(worker)


@pytest.fixture(scope="session")
def url(moderator: WordModerator, serve: Serve) -> Iterator[str]:
    yield from serve(create_app(moderator))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def real_settings(tmp_path_factory: pytest.TempPathFactory, worker: str) -> Settings:
    return Settings(
        policies_dir=SMALL_POLICIES, data_dir=tmp_path_factory.mktemp("data"), database_url=None, keyless=True,
        detector=None, generator_url=worker, llm_url="http://127.0.0.1:9/v1", encoder="multilingual-e5-small",
    )  # fmt: skip


@pytest.fixture(scope="session")
def real_url(real_settings: Settings, serve: Serve) -> Iterator[str]:
    """The URL of the real moderator on the small policies, with the `nearest` detector and no LLM."""
    yield from serve(create_app(open_moderator(real_settings)))


@pytest.fixture(scope="session")
def real(real_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{real_url}/v1", api_key="none", max_retries=0) as client:
        yield client
