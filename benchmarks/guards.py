"""Propriety and other guards, each behind its own server, in its own process and virtual environment."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from agent.policy.files import load_policies
from agent.policy.model import BASE
from agent.settings import Settings
from agent.stack.supervise import Child, supervise
from agent.terminal.console import errors
from benchmarks.client import TIMEOUT_S, free_port
from benchmarks.service import service
from benchmarks.workload import Request
from propriety.verdict import Detector

RIVALS = Path(__file__).parent / "rivals"


class Guard(NamedTuple):
    """A guard to measure.

    checks: what it checks, for the table.
    run: serves it while its context is open, and gives the URL.
    flagged: whether a response's body says that the prompt is flagged.
    """

    name: str
    checks: str
    run: Callable[[], AbstractContextManager[str]]
    path: str
    body: Callable[[Request], dict[str, Any]]
    flagged: Callable[[Any], bool]


def propriety(settings: Settings, detector: Detector) -> Guard:
    """Propriety's API with one detector."""
    checks = "the rules of each prompt's locale, by meaning; offending prompts are rewritten, and the rewrites judged"
    return Guard(
        f"Propriety, `{detector}`",
        checks if detector is Detector.NEAREST else f"{checks}; the LLM if the neighbours are unsure",
        lambda: service(settings),
        "/v1/moderations",
        lambda request: {"input": request.text, "locale": request.locale, "model": f"propriety-{detector}"},
        lambda answer: bool(answer["results"][0]["flagged"]),
    )


def llm_guard(folder: Path, phrases: list[str]) -> Guard:
    """LLM Guard's scanners that need no model, served by `rivals/llm_guard_api.py`: its own API is not on PyPI."""
    listed = _write(folder / "phrases.json", json.dumps(phrases))
    environment = _install(folder, "llm-guard==0.3.16", "fastapi", "uvicorn")

    def run() -> AbstractContextManager[str]:
        command = [f"{environment}/bin/python", str(RIVALS / "llm_guard_api.py")]
        return _serve(folder, command, {"PHRASES": str(listed)}, "/healthz")

    return Guard(
        "LLM Guard 0.3.16",
        f"{len(phrases):,} phrases, letter by letter (`BanSubstrings`); invisible characters; secrets (`Secrets`)",
        run,
        "/analyze/prompt",
        lambda request: {"prompt": request.text},
        lambda answer: not answer["is_valid"],
    )


def nemo_regex(folder: Path, phrases: list[str]) -> Guard:
    """NeMo Guardrails' server with a rail that needs no model."""
    patterns = {"patterns": [_any_of(phrases)], "case_insensitive": True}
    config = {
        "models": [],
        "rails": {"input": {"flows": ["regex check input"]}, "config": {"regex_detection": {"input": patterns}}},
    }
    checks = f"{len(phrases):,} phrases, letter by letter (`regex check input`)"
    return _nemo(folder, "regex", config, checks)


def nemo_llm(folder: Path, settings: Settings) -> Guard:
    """NeMo Guardrails' server with a rail that asks our LLM, in one question about all rules of the base policy."""
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
    _write(folder / "configs" / name / "config.yml", json.dumps(config))  # JSON is YAML
    environment = _install(folder, "nemoguardrails[server,openai]==0.24.1")

    def run() -> AbstractContextManager[str]:
        command = [f"{environment}/bin/nemoguardrails", "server", "--disable-chat-ui", "--port", "{port}"]
        command += ["--config", str(folder / "configs")]
        return _serve(folder, command, {"DO_NOT_TRACK": "1"}, "/v1/rails/configs")

    return Guard(
        "NeMo Guardrails 0.24.1",
        checks,
        run,
        "/v1/checks",
        lambda request: {
            "model": model,
            "messages": [{"role": "user", "content": request.text}],
            "guardrails": {"config_id": name, "rail_types": ["input"]},
        },
        lambda answer: bool(answer["status"] == "blocked"),
    )


def guardrails_ai(folder: Path, phrases: list[str]) -> Guard:
    """Guardrails AI's server with our own validator; those of its hub need an account."""
    pattern = _write(folder / "pattern.txt", _any_of(phrases))
    _write(folder / ".guardrailsrc", "enable_metrics=false\n")
    environment = _install(folder, "guardrails-ai==0.11.0", "guardrails-api==0.4.4")

    def run() -> AbstractContextManager[str]:
        command = [f"{environment}/bin/guardrails-api", "start", "--port", "{port}"]
        command += ["--config", str(RIVALS / "guardrails_config.py")]
        return _serve(folder, command, {"PATTERN": str(pattern), "HOME": str(folder)}, "/health-check")

    return Guard(
        "Guardrails AI 0.11.0",
        f"{len(phrases):,} phrases, letter by letter (a validator written for this)",
        run,
        "/guards/phrases/validate",
        lambda request: {"llm_output": request.text},
        lambda answer: not answer["validationPassed"],
    )


def _any_of(phrases: list[str]) -> str:
    return f"(?:{'|'.join(map(re.escape, phrases))})"


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path.resolve()


def _install(folder: Path, *packages: str) -> Path:
    """The virtual environment in a folder, with these packages installed.

    Raises:
        CalledProcessError: pip cannot install them.
    """
    environment = folder.resolve() / "environment"
    if not (environment / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    errors.print(f"Installing {', '.join(packages)} into {environment}", markup=False, highlight=False, soft_wrap=True)
    subprocess.run([str(environment / "bin" / "python"), "-m", "pip", "install", "-qqq", *packages], check=True)
    return environment


@contextmanager
def _serve(folder: Path, command: list[str], variables: dict[str, str], health: str) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    child = Child(
        folder.name, [part.format(port=port) for part in command], {**os.environ, **variables, "PORT": str(port)},
        url + health, "up to a minute",
    )  # fmt: skip
    with supervise([child], folder / "logs", TIMEOUT_S, errors):
        yield url
