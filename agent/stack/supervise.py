"""Start processes, wait until each is healthy, notice when one dies, and stop them all together."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import httpx
from rich.console import Console

from agent.stack import StartError

HEALTH_POLL_S = 0.3
GRACE_S = 120.0  # time to finish a batch of pictures on a CPU
QUIET_STOP_S = 2.0  # the console reports only a stop that takes longer
KILL_TIMEOUT_S = 5.0
LOG_TAIL_LINES = 25


@dataclass(frozen=True)
class Child:
    """A process to start. It is healthy once `health_url` returns 200; `usual` says how long that usually takes."""

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


@contextmanager
def supervise(
    children: Sequence[Child], logs: Path, timeout_s: float, console: Console
) -> Iterator[Callable[[], None]]:
    """Start `children` in parallel. Once all are healthy, yield a check that raises StartError if one has died.

    Each child leads its own process group. When the block ends, for whatever reason, each group gets SIGTERM and, if it
    has not ended within `GRACE_S` seconds, SIGKILL. SIGTERM and SIGINT to this process end the block with
    KeyboardInterrupt; a second one ends the grace period.

    Raises:
        StartError: if a child dies, or is not healthy within `timeout_s` seconds.
    """
    logs.mkdir(parents=True, exist_ok=True)
    running: list[Running] = []
    previous = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for child in children:
            running.append(_start(child, logs))
            console.print(f"Starting {child.name} (usually takes {child.usual}); log: {running[-1].log}")
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
            names = ", ".join(f"{item.child.name} (usually {item.child.usual})" for item in waiting)
            status.update(f"Waiting for {names}: {seconds:.0f} s so far")
            for item in [item for item in waiting if _healthy(item.child.health_url)]:
                waiting.remove(item)
                console.print(f"{item.child.name} is ready after {seconds:.0f} s")
            if waiting and seconds > timeout_s:
                raise StartError(
                    f"{waiting[0].child.name} was not ready within {timeout_s:.0f} s. Fix what its log reports, or set "
                    f"PROPRIETY_STARTUP_TIMEOUT_S to wait longer. {_log_tail(waiting[0].log)}"
                )
            if waiting:
                time.sleep(HEALTH_POLL_S)


def _healthy(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _check_alive(running: Sequence[Running]) -> None:
    for item in running:
        if (status := item.process.poll()) is not None:
            how = f"exited with status {status}" if status >= 0 else f"was killed by {signal.Signals(-status).name}"
            raise StartError(f"{item.child.name} {how}. {_log_tail(item.log)}")


def _log_tail(log: Path) -> str:
    return f"The end of {log}:\n" + "\n".join(
        log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:]
    )


def _stop(running: Sequence[Running], console: Console) -> None:
    hurry = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: hurry.set())
    for item in running:
        _signal_group(item.process.pid, signal.SIGTERM)
    if remaining := _wait_for_end(running, QUIET_STOP_S, hurry):
        names = ", ".join(item.child.name for item in remaining)
        console.print(f"Waiting up to {GRACE_S:.0f} s for {names} to finish current work; press Ctrl-C to stop now.")
        _wait_for_end(running, GRACE_S, hurry)
    for item in running:
        _signal_group(item.process.pid, signal.SIGKILL)
    _wait_for_end(running, KILL_TIMEOUT_S, Event())
    for item in running:
        with suppress(subprocess.TimeoutExpired):  # a zombie can be reaped only once its last thread has ended
            item.process.wait(KILL_TIMEOUT_S)


def _wait_for_end(running: Sequence[Running], timeout_s: float, hurry: Event) -> list[Running]:
    """The processes that still run after `timeout_s` seconds, or as soon as `hurry` is set."""
    deadline = time.monotonic() + timeout_s
    while (remaining := [item for item in running if _group_alive(item)]) and time.monotonic() < deadline:
        if hurry.is_set():
            break
        time.sleep(0.05)
    return remaining


def _group_alive(item: Running) -> bool:
    """Whether a process of the group still runs. Zombies do not count: their new parent may take long to reap them."""
    item.process.poll()
    return _signal_group(item.process.pid, 0) and any(
        int(group) == item.process.pid and state not in ("Z", "X") for state, group in _states_and_groups()
    )


def _states_and_groups() -> Iterator[tuple[str, str]]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # the process has ended meanwhile
            state, _, group = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:3]
            yield state, group


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
