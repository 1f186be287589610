"""`python -m agent.models.serve --host 0.0.0.0`: vLLM takes this process's place, as a container wants it."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from agent.models.prepare import server_command, server_environment
from agent.settings import Settings


def main(host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1") -> None:
    """Serve the LLM that the settings name; the embedded one's weights must be there."""
    settings = Settings()
    command = server_command(settings, host)
    os.execve(command[0], command, server_environment(settings))


if __name__ == "__main__":
    typer.run(main)
