"""Checks before anything is started. Each error says what is wrong, where, and how to fix it."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from agent.stack import StartError

LLM_MEMORY_GB, GENERATOR_MEMORY_GB = 6.5, 1.5


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> None:
    """Refuse any Python but 3.11, which vLLM's CPU wheels and the pinned versions are for."""
    if version != (3, 11):
        raise StartError(
            f"this is Python {version[0]}.{version[1]}, but Propriety's pinned versions need 3.11. Install python3.11 "
            "and python3.11-venv, remove .venv, and run `make run` again."
        )


def check_port_free(host: str, port: int, setting: str) -> None:
    """Refuse a port that is in use; `setting` is the variable that changes it."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StartError(
                f"cannot listen on port {port} of {host} ({error.strerror}). Stop the program that uses the port, or "
                f"set {setting} to another port."
            ) from None


def check_memory(needed_gb: float, meminfo: Path = Path("/proc/meminfo")) -> None:
    """Refuse to start if less memory is available than the parts need."""
    lines = dict(line.split(":", 1) for line in meminfo.read_text(encoding="utf-8").splitlines() if ":" in line)
    available_gb = int(lines["MemAvailable"].split()[0]) * 1024 / 1e9
    if available_gb < needed_gb:
        raise StartError(
            f"{available_gb:.1f} GB of memory are available, but the parts to start need about {needed_gb:.1f} GB. "
            "Stop other programs, or set PROPRIETY_LLM_URL to an LLM server on another machine."
        )
