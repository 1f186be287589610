"""How long commands take to start, and what memory the service takes: `python -m benchmarks.startup`."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import httpx
import psutil
import typer

from agent.terminal.loading import read_settings
from benchmarks.client import TIMEOUT_S
from benchmarks.service import service_with_key
from benchmarks.tables import megabytes, print_head, print_row
from benchmarks.workload import requests

PROPRIETY = Path(sys.executable).with_name("propriety")
MODERATE = ("moderate", "--locale", "ar-SA", "a woman holding a wine glass on a beach")
NEAREST = ("--detector", "nearest")
NOBODY = 9  # a port on which nothing listens
PROMPTS = 50


def measure(name: str, *arguments: str, tries: int, **variables: object) -> None:
    """Print the shortest times of a command."""
    wall_s, cpu_s = zip(*(run(*arguments, **variables) for _ in range(tries)), strict=True)
    print_row(name, f"{min(wall_s):.2f}", f"{min(cpu_s):.2f}")


def run(*arguments: str, **variables: object) -> tuple[float, float]:
    """Run a command with these settings, and return its seconds and its CPU seconds."""
    environment = os.environ | {f"PROPRIETY_{key.upper()}": str(value) for key, value in variables.items()}
    started, before_s = time.perf_counter(), _children_cpu_s()
    subprocess.run(
        [PROPRIETY, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - started, _children_cpu_s() - before_s


def measure_memory(url: str) -> None:
    """Print the service's memory after its start and after `PROMPTS` prompts."""
    process = next(one for one in psutil.Process().children(recursive=True) if _listens(one, url))
    print_head("API", "memory MB")
    print_row("after the start", megabytes(process.memory_info().rss))
    for request in islice(requests(), PROMPTS):
        body = {"model": "propriety-nearest", "input": request.text, "locale": request.locale}
        httpx.post(f"{url}/v1/moderations", json=body, timeout=TIMEOUT_S, trust_env=False).raise_for_status()
    print_row(f"after {PROMPTS} prompts", megabytes(process.memory_info().rss))


def main(tries: Annotated[int, typer.Option(min=1, help="Runs of each command; the shortest counts.")] = 5) -> None:
    """Print the times of commands, and the memory of the API."""
    settings = read_settings().model_copy(update={"url": None, "host": "127.0.0.1"})
    print_head("command", "s", "CPU s")
    measure("`propriety --help`", "--help", tries=tries)
    for command in ("moderate", "policy", "index", "audit", "keys", "evaluate"):
        measure(f"`propriety {command} --help`", command, "--help", tries=tries)
    nobody = {"port": NOBODY, "llm_url": f"http://127.0.0.1:{NOBODY}/v1"}
    run(*MODERATE, **nobody)  # keeps what later starts read
    measure("`propriety moderate`, `nearest`, no service", *MODERATE, *NEAREST, tries=tries, **nobody)
    measure("`propriety moderate`, no service, no LLM", *MODERATE, tries=tries, **nobody)
    with service_with_key(settings) as (url, key):
        port = urlsplit(url).port
        name = "`propriety moderate`, `nearest`, a service runs"
        measure(name, *MODERATE, *NEAREST, tries=tries, port=port, api_key=key)
        typer.echo()
        measure_memory(url)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _listens(process: psutil.Process, url: str) -> bool:
    return any(one.laddr.port == urlsplit(url).port for one in process.net_connections() if one.status == "LISTEN")


if __name__ == "__main__":
    typer.run(main)
