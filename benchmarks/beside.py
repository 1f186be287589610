"""The same prompts through Propriety and other guards, in one run: `python -m benchmarks.beside --folder FOLDER`.

Each runs in a process and a virtual environment of its own, behind the server that it comes with, one after the other.
They do not check the same thing: each row says what was checked.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import httpx
import psutil
import typer

from agent.policy.concept_bank import load_bank
from agent.policy.files import load_policies
from agent.policy.model import BASE
from agent.settings import Settings
from agent.stack import StartError
from agent.stack.supervise import Child, supervise
from agent.terminal.console import WRONG, errors, fail
from agent.terminal.loading import read_settings
from benchmarks.asking import TIMEOUT_S, Asked, free_port, heading, megabytes, percentiles_ms, prompts, row, seconds
from benchmarks.load import service
from propriety.verdict import Detector

RIVALS = Path(__file__).parent / "rivals"
WARM_UP = 20
HEAD = ("guard", "what it checked", "at once", "first answer after s", "answers/s", "p50 ms", "p95 ms", "CPU ms",
        "memory MB", "flagged: offending", "harmless")  # fmt: skip


class Guard(NamedTuple):
    """One that is measured; `run` serves it as long as its context is open, and gives the URL."""

    name: str
    checks: str
    run: Callable[[], AbstractContextManager[str]]
    path: str
    body: Callable[[Asked], dict[str, Any]]
    flagged: Callable[[Any], bool]


def propriety(settings: Settings, detector: Detector) -> Guard:
    """Propriety's API, with one detector."""
    checks = "the rules of each prompt's own place, by meaning; what offends is rewritten, and the rewrite judged"
    return Guard(
        f"Propriety, `{detector}`",
        checks if detector is Detector.NEAREST else f"{checks}; the LLM where the neighbours are in doubt",
        lambda: service(settings, None),
        "/v1/moderations",
        lambda asked: {"input": asked.text, "locale": asked.locale, "model": f"propriety-{detector}"},
        lambda answer: bool(answer["results"][0]["flagged"]),
    )


def llm_guard(folder: Path, phrases: list[str]) -> Guard:
    """Its own API is not on PyPI, so a few lines serve the library; most scanners load a model from a hub."""
    listed = _written(folder / "phrases.json", json.dumps(phrases))
    environment = _installed(folder, "llm-guard==0.3.16", "fastapi", "uvicorn")

    def run() -> AbstractContextManager[str]:
        command = [f"{environment}/bin/python", str(RIVALS / "llm_guard_api.py")]
        return _served(folder, command, {"PHRASES": str(listed)}, "/healthz")

    return Guard(
        "LLM Guard 0.3.16",
        f"{len(phrases):,} phrases, letter by letter (`BanSubstrings`); invisible characters; secrets (`Secrets`)",
        run,
        "/analyze/prompt",
        lambda asked: {"prompt": asked.text},
        lambda answer: not answer["is_valid"],
    )


def nemo_regex(folder: Path, phrases: list[str]) -> Guard:
    """NeMo Guardrails' server with the rail that needs no model."""
    patterns = {"patterns": [_either(phrases)], "case_insensitive": True}
    config = {
        "models": [],
        "rails": {"input": {"flows": ["regex check input"]}, "config": {"regex_detection": {"input": patterns}}},
    }
    checks = f"{len(phrases):,} phrases, letter by letter (`regex check input`)"
    return _nemo(folder, "regex", config, checks)


def nemo_llm(folder: Path, settings: Settings) -> Guard:
    """NeMo Guardrails' server with the rail that asks an LLM, ours, once for all rules that hold everywhere."""
    rules = "\n".join(f"- {rule.definition}" for rule in load_policies(settings.policies_dir)[BASE].rules)
    question = (
        f"Your task is to check if the image prompt below breaks a rule.\n\nNone of these may be shown:\n{rules}\n\n"
        'Image prompt: "{{ user_input }}"\n\nQuestion: Should the image prompt be blocked (Yes or No)?\nAnswer:'
    )
    key = settings.llm_api_key.get_secret_value() if settings.llm_api_key else "none"
    model = {
        "type": "main", "engine": "openai", "model": settings.llm_model,
        "parameters": {"base_url": settings.llm_base_url, "api_key": key},
    }  # fmt: skip
    config = {
        "models": [model],
        "rails": {"input": {"flows": ["self check input"]}},
        "prompts": [{"task": "self_check_input", "content": question, "max_tokens": 3}],
    }
    checks = "the rules of the base policy, by one question to the same LLM (`self check input`)"
    return _nemo(folder, "self-check", config, checks, settings.llm_model)


def _nemo(folder: Path, name: str, config: Mapping[str, object], checks: str, model: str = "none") -> Guard:
    _written(folder / "configs" / name / "config.yml", json.dumps(config))  # JSON is YAML
    environment = _installed(folder, "nemoguardrails[server,openai]==0.24.1")

    def run() -> AbstractContextManager[str]:
        command = [f"{environment}/bin/nemoguardrails", "server", "--disable-chat-ui", "--port", "{port}"]
        command += ["--config", str(folder / "configs")]
        return _served(folder, command, {"DO_NOT_TRACK": "1"}, "/v1/rails/configs")

    return Guard(
        "NeMo Guardrails 0.24.1",
        checks,
        run,
        "/v1/checks",
        lambda asked: {
            "model": model,
            "messages": [{"role": "user", "content": asked.text}],
            "guardrails": {"config_id": name, "rail_types": ["input"]},
        },
        lambda answer: bool(answer["status"] == "blocked"),
    )


def guardrails_ai(folder: Path, phrases: list[str]) -> Guard:
    """Guardrails AI's server with a validator of one's own; those of its hub need an account."""
    pattern = _written(folder / "pattern.txt", _either(phrases))
    _written(folder / ".guardrailsrc", "enable_metrics=false\n")
    environment = _installed(folder, "guardrails-ai==0.11.0", "guardrails-api==0.4.4")

    def run() -> AbstractContextManager[str]:
        command = [f"{environment}/bin/guardrails-api", "start", "--port", "{port}"]
        command += ["--config", str(RIVALS / "guardrails_config.py")]
        return _served(folder, command, {"PATTERN": str(pattern), "HOME": str(folder)}, "/health-check")

    return Guard(
        "Guardrails AI 0.11.0",
        f"{len(phrases):,} phrases, letter by letter (a validator written for this)",
        run,
        "/guards/phrases/validate",
        lambda asked: {"llm_output": asked.text},
        lambda answer: not answer["validationPassed"],
    )


def _either(phrases: list[str]) -> str:
    return f"(?:{'|'.join(map(re.escape, phrases))})"


def _written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path.resolve()


def _installed(folder: Path, *packages: str) -> Path:
    """The virtual environment in a folder, with these packages.

    Raises:
        CalledProcessError: where pip cannot install them.
    """
    environment = folder.resolve() / "environment"
    if not (environment / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    errors.print(f"Installing {', '.join(packages)} into {environment}", markup=False, highlight=False, soft_wrap=True)
    subprocess.run([str(environment / "bin" / "python"), "-m", "pip", "install", "-qqq", *packages], check=True)
    return environment


@contextmanager
def _served(folder: Path, command: list[str], variables: dict[str, str], health: str) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    child = Child(
        folder.name, [part.format(port=port) for part in command], {**os.environ, **variables, "PORT": str(port)},
        url + health, "up to a minute",
    )  # fmt: skip
    with supervise([child], folder / "logs", TIMEOUT_S, errors):
        yield url


def measure(guard: Guard, asked: list[Asked], at_once: int) -> None:
    """Start a guard, ask it, and print a row.

    Raises:
        StartError: where it does not start.
        httpx.HTTPError: where one is not answered, or not with a 2xx.
    """
    foreign, start = set(_started_since(set())), time.perf_counter()
    with guard.run() as url:
        asyncio.run(_measure(guard, url, asked, at_once, start, foreign))


async def _measure(
    guard: Guard, url: str, asked: list[Asked], at_once: int, start: float, foreign: set[psutil.Process]
) -> None:
    flagged = dict.fromkeys(("offends", "harmless", "a turn"), 0)

    def tell(number: int, answer: httpx.Response) -> None:
        flagged[asked[number].kind] += guard.flagged(answer.json())

    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, trust_env=False) as client:
        warm_up = [guard.body(one._replace(text=f"a drawing, number {n}")) for n, one in enumerate(asked[:WARM_UP])]
        await seconds(client, guard.path, warm_up[:1], 1)
        first = time.perf_counter() - start
        await seconds(client, guard.path, warm_up[1:], at_once)
        begun, spent = time.perf_counter(), _cpu_s(foreign)
        taken = await seconds(client, guard.path, map(guard.body, asked), at_once, tell)
        wall, spent = time.perf_counter() - begun, _cpu_s(foreign) - spent
    resident = sum(process.memory_info().rss for process in _started_since(foreign))
    p50, p95 = percentiles_ms(taken, 50, 95)
    shares = (f"{flagged[kind]} of {sum(one.kind == kind for one in asked)}" for kind in ("offends", "harmless"))
    row(
        guard.name, guard.checks, at_once, f"{first:.1f}", f"{len(taken) / wall:.1f}", f"{p50:.1f}", f"{p95:.1f}",
        f"{spent / len(taken) * 1000:.1f}", megabytes(resident), *shares,
    )  # fmt: skip


def _started_since(foreign: set[psutil.Process]) -> list[psutil.Process]:
    return [process for process in psutil.Process().children(recursive=True) if process not in foreign]


def _cpu_s(foreign: set[psutil.Process]) -> float:
    """CPU time so far of the guard's processes, which are those that are not foreign."""
    times = [process.cpu_times() for process in _started_since(foreign)]
    return float(sum(time.user + time.system for time in times))


def main(
    folder: Annotated[Path, typer.Option(file_okay=False, help="For their virtual environments; about 7 GB.")],
    at_once: Annotated[list[int] | None, typer.Option(min=1, help="Callers. Repeatable; else 1 and 16.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Prompts, at most.")] = 500,
    llm: Annotated[bool, typer.Option("--llm", help="Also what asks an LLM, the running one of the settings.")] = False,
) -> None:
    """Print how fast Propriety and other guards answer the same prompts, and what it takes, as a Markdown table.

    LLM Guard, NeMo Guardrails and Guardrails AI are installed from PyPI and do what they can without a model hub or an
    account: they are given the phrases of the concept bank as words that must not occur. Memory is that of the guard's
    processes after the last answer, "CPU" the time that they took for each, an LLM's server not counted. A guard is
    started anew for each number of callers.
    The last columns count what was flagged, of the prompts that break a rule of their place and of harmless ones.

    Example: python -m benchmarks.beside --folder rivals
    """
    settings = read_settings()
    bank = load_bank(settings.policies_dir)
    phrases = sorted({unsafe.text for topic in bank.topics.values() for unsafe in topic.unsafe})
    asked = prompts()[:limit]
    try:
        guards = [
            propriety(settings, Detector.NEAREST),
            llm_guard(folder / "llm-guard", phrases),
            nemo_regex(folder / "nemo-guardrails", phrases),
            guardrails_ai(folder / "guardrails-ai", phrases),
        ]
        if llm:
            guards += [propriety(settings, Detector.CASCADE), nemo_llm(folder / "nemo-guardrails", settings)]
        heading(*HEAD)
        for guard in guards:
            for callers in at_once or [1, 16]:
                measure(guard, asked, callers)
    except (StartError, httpx.HTTPError, subprocess.CalledProcessError) as error:
        fail(f"{type(error).__name__}: {error}", WRONG)


if __name__ == "__main__":
    typer.run(main)
