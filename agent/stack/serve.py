"""`propriety serve`: start LLM, generator and API together, wait until each is healthy, and stop them together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Event

import httpx
from pydantic import SecretStr
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from agent.models.fetch import EmbeddedModelError
from agent.models.prepare import prepare, server_command, server_environment
from agent.settings import EMBEDDED_LLM, Settings
from agent.stack.preflight import (
    GENERATOR_MEMORY_GB,
    LLM_MEMORY_GB,
    StartError,
    check_memory,
    check_port_free,
    check_python,
)
from agent.stack.sample import show_demo
from agent.store.database import open_database, try_writing
from agent.store.tenants import Tenants

GRACE_S = 120.0  # a batch of pictures on a CPU
QUIET_S = 2.0  # that stopping takes without a word
KILLED_S = 5.0
TAIL_LINES = 25


class Part(StrEnum):
    """What `propriety serve` can start."""

    LLM = "llm"
    GENERATOR = "generator"
    API = "api"


@dataclass(frozen=True)
class Child:
    """One process: healthy once `health_url` answers 200; `usual` says how long that tends to take."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    health_url: str
    usual: str


@dataclass(frozen=True)
class Running:
    child: Child
    process: subprocess.Popen[bytes]
    log: Path


def run_stack(settings: Settings, parts: set[Part], demo: bool) -> None:
    """Start `parts`, wait until all are healthy, show the demonstration if asked, and serve until SIGINT or SIGTERM.

    Parts that a setting places elsewhere (`llm_url`, `generator_url`) are not started. No child outlives this call.

    Raises:
        StartError: where something cannot start or dies; its message names it and shows the end of its log.
    """
    console = Console()
    children = plan(settings, parts)
    try:
        with supervise(children, settings.data_dir / "logs", settings.startup_timeout_s, console) as check_alive:
            if demo:
                show_demo(settings, console)
            if Part.API in parts:
                console.print(f"The API listens on http://{settings.host}:{settings.port} (its document: /docs).")
            console.print("Serving until Ctrl-C.")
            while True:
                check_alive()
                time.sleep(1)
    except KeyboardInterrupt:
        console.print("Stopped.")


def plan(settings: Settings, parts: set[Part]) -> list[Child]:
    """The processes to start, after all that can be checked beforehand was checked.

    Raises:
        StartError: on a wrong Python, a busy port, too little memory or disk, or a broken download.
    """
    check_python()
    environment = _environment(settings)
    children, memory_gb = [], 0.0
    if Part.LLM in parts and settings.llm_url is None:
        check_port_free("127.0.0.1", settings.llm_port, "PROPRIETY_LLM_PORT")
        memory_gb += LLM_MEMORY_GB if settings.llm_model == EMBEDDED_LLM else 0
        children.append(
            Child(
                "llm",
                server_command(settings),
                server_environment(settings),
                f"http://127.0.0.1:{settings.llm_port}/health",
                "1 to 2 minutes",
            )
        )
    if Part.GENERATOR in parts and settings.generator_url is None:
        check_port_free("127.0.0.1", settings.generator_port, "PROPRIETY_GENERATOR_PORT")
        memory_gb += GENERATOR_MEMORY_GB
        command = [sys.executable, "-m", "generator.server", "--host", "127.0.0.1"]
        command += ["--port", str(settings.generator_port), "--model", settings.generator_model]
        if settings.signing_cert and settings.signing_key:
            command += ["--signing-cert", str(settings.signing_cert), "--signing-key", str(settings.signing_key)]
        url = f"http://127.0.0.1:{settings.generator_port}/healthz"
        children.append(Child("generator", command, environment, url, "about 20 seconds"))
    if Part.API in parts:
        check_port_free(settings.host, settings.port, "PROPRIETY_PORT")
        _check_keys(settings)
        command = [sys.executable, "-m", "agent.api.server"]
        host = "127.0.0.1" if settings.host == "0.0.0.0" else settings.host
        url = f"http://{host}:{settings.port}/healthz"
        children.append(
            Child("api", command, environment, url, "about 20 seconds; the first time 2 minutes, for the concepts")
        )
    check_memory(memory_gb)
    if settings.llm_model == EMBEDDED_LLM and any(child.name == "llm" for child in children):
        try:
            prepare(settings.models_dir)
        except EmbeddedModelError as error:
            raise StartError(str(error)) from None
    return children


def _check_keys(settings: Settings) -> None:
    try:
        database = open_database(settings.decision_log_url)
        try_writing(database)
        configured = Tenants(database).configured()
        database.dispose()
    except (OSError, SQLAlchemyError) as error:
        raise StartError(f"the database cannot be used: {error}. Mend PROPRIETY_DATABASE_URL.") from None
    if not configured and not settings.loopback:
        raise StartError(
            f"no API key is configured, so {settings.host} would serve whoever can reach it. Make a key with "
            "`propriety keys create NAME`, or set PROPRIETY_HOST to 127.0.0.1."
        )


def _environment(settings: Settings) -> dict[str, str]:
    """This process's environment, with every setting that was set: the children read it as their own settings."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    values = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in given.items()
    }
    chosen = {f"PROPRIETY_{name.upper()}": str(value) for name, value in values.items() if value is not None}
    return {**os.environ, **chosen}


@contextmanager
def supervise(
    children: Sequence[Child], logs: Path, timeout_s: float, console: Console
) -> Iterator[Callable[[], None]]:
    """Start `children` side by side and yield, once all are healthy, a check that raises when one has died.

    Each child leads a process group of its own; on leaving, however that comes about, each group gets SIGTERM, and
    after `GRACE_S` seconds, in which it may finish what it does, SIGKILL. SIGTERM and SIGINT sent here end the block
    with KeyboardInterrupt, and sent again the waiting.

    Raises:
        StartError: where a child dies, or is not healthy within `timeout_s` seconds.
    """
    logs.mkdir(parents=True, exist_ok=True)
    running: list[Running] = []
    previous = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for child in children:
            running.append(_start(child, logs))
            console.print(f"Starting {child.name}: {child.usual}; log in {running[-1].log}")
        _wait_until_healthy(running, timeout_s, console)
        yield lambda: _check_alive(running)
    finally:
        _stop(running, console)
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _start(child: Child, logs: Path) -> Running:
    log = logs / f"{child.name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            child.command,
            env=child.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    return Running(child, process, log)


def _wait_until_healthy(running: Sequence[Running], timeout_s: float, console: Console) -> None:
    begin = time.monotonic()
    waiting = list(running)
    with console.status("") as status:
        while waiting:
            _check_alive(running)
            seconds = time.monotonic() - begin
            names = ", ".join(f"{item.child.name} ({item.child.usual})" for item in waiting)
            status.update(f"Waiting for {names}: {seconds:.0f} s so far")
            for item in [item for item in waiting if _healthy(item.child.health_url)]:
                waiting.remove(item)
                console.print(f"{item.child.name} is ready after {seconds:.0f} s")
            if waiting and seconds > timeout_s:
                raise StartError(
                    f"{waiting[0].child.name} was not ready within {timeout_s:.0f} s (PROPRIETY_STARTUP_TIMEOUT_S "
                    f"changes that). The end of {waiting[0].log}:\n{_tail(waiting[0].log)}"
                )
            time.sleep(0.3)


def _healthy(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _check_alive(running: Sequence[Running]) -> None:
    for item in running:
        if (status := item.process.poll()) is not None:
            how = f"with status {status}" if status >= 0 else f"by {signal.Signals(-status).name}"
            raise StartError(f"{item.child.name} ended {how}. The end of {item.log}:\n{_tail(item.log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])


def _stop(running: Sequence[Running], console: Console) -> None:
    hurry = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: hurry.set())
    for item in running:
        _signal_group(item.process.pid, signal.SIGTERM)
    if left := _left(running, QUIET_S, hurry):
        names = ", ".join(item.child.name for item in left)
        console.print(f"Waiting up to {GRACE_S:.0f} s for {names} to finish what was begun; Ctrl-C ends it at once.")
        _left(running, GRACE_S, hurry)
    for item in running:
        _signal_group(item.process.pid, signal.SIGKILL)
    _left(running, KILLED_S, Event())


def _left(running: Sequence[Running], timeout_s: float, hurry: Event) -> list[Running]:
    """Those that are still there after so many seconds, or once someone is in a hurry."""
    deadline = time.monotonic() + timeout_s
    while (left := [item for item in running if _group_alive(item)]) and time.monotonic() < deadline:
        if hurry.is_set():
            break
        time.sleep(0.05)
    return left


def _group_alive(item: Running) -> bool:
    item.process.poll()
    return _signal_group(item.process.pid, 0)


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
