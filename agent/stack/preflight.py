"""What must hold before anything is started; every complaint says what, where and how to mend it."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

LLM_MEMORY_GB, GENERATOR_MEMORY_GB = 6.5, 1.5


class StartError(RuntimeError):
    """Propriety cannot start, or a part of it has died; the message is for the person at the terminal."""


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> None:
    """vLLM's CPU wheels and the pinned versions are for Python 3.11."""
    if version != (3, 11):
        raise StartError(
            f"this is Python {version[0]}.{version[1]}, and Propriety's pinned versions are for 3.11. Install "
            "python3.11 and python3.11-venv, remove .venv, and run `make run` again."
        )


def check_port_free(host: str, port: int, setting: str) -> None:
    """Refuse a port on which something listens already; `setting` is the variable that changes it."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StartError(
                f"port {port} on {host} cannot be used ({error.strerror}). Stop what listens there, or set {setting} "
                "to another port."
            ) from None


def check_memory(needed_gb: float, meminfo: Path = Path("/proc/meminfo")) -> None:
    """Refuse to start with less memory available than the parts to be started need."""
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
    available_gb = int(lines["MemAvailable"].split()[0]) * 1024 / 1e9
    if available_gb < needed_gb:
        raise StartError(
            f"{available_gb:.1f} GB of memory are available, and about {needed_gb:.1f} GB are needed. Stop other "
            "programs, or set PROPRIETY_LLM_URL to an LLM server on another machine."
        )
