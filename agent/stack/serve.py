"""`propriety serve`: which processes to start for LLM, generator and API, and running them together."""

from __future__ import annotations

import os
import sys
import time

from pydantic import SecretStr
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from agent.models.fetch import EmbeddedModelError
from agent.models.serve import server_command, server_environment
from agent.models.weights import prepare_weights
from agent.settings import EMBEDDED_LLM, Settings
from agent.stack import Part, StartError
from agent.stack.preflight import GENERATOR_MEMORY_GB, LLM_MEMORY_GB, check_memory, check_port_free, check_python
from agent.stack.sample import show_demo
from agent.stack.supervise import Child, supervise
from agent.store.database import open_database, try_writing
from agent.store.tenants import Tenants


def run_stack(settings: Settings, parts: set[Part], demo: bool) -> None:
    """Start `parts`, wait until all are healthy, show the demo if requested, and serve until SIGINT or SIGTERM.

    Parts that a setting places elsewhere (`llm_url`, `generator_url`) are not started. Every child has ended when this
    function returns.

    Raises:
        StartError: if a part cannot start or dies; the message names it and shows the end of its log.
    """
    console = Console()
    if Part.API in parts and (key := make_first_key(settings)):
        console.print(f"Admin key, shown only this once, and kept in {settings.admin_key_path}: {key}", soft_wrap=True)
    children = plan(settings, parts)
    try:
        with supervise(children, settings.data_dir / "logs", settings.startup_timeout_s, console) as check_alive:
            if demo:
                show_demo(settings, console)
            if Part.API in parts:
                console.print(f"The API listens on http://{settings.host}:{settings.port}; its documentation: /docs.")
            console.print("Serving. Press Ctrl-C to stop.")
            while True:
                check_alive()
                time.sleep(1)
    except KeyboardInterrupt:
        console.print("Stopped.")


def plan(settings: Settings, parts: set[Part]) -> list[Child]:
    """The processes to start, after everything that can be checked beforehand.

    Raises:
        StartError: on a wrong Python, a busy port, too little memory or disk, or a broken download.
    """
    check_python()
    environment = _environment(settings)
    children, memory_gb = [], 0.0
    starts_llm = Part.LLM in parts and settings.llm_url is None
    uses_embedded_llm = settings.llm_model == EMBEDDED_LLM
    if starts_llm:
        check_port_free("127.0.0.1", settings.llm_port, "PROPRIETY_LLM_PORT")
        memory_gb += LLM_MEMORY_GB if uses_embedded_llm else 0
        url = f"http://127.0.0.1:{settings.llm_port}/health"
        children.append(Child("llm", server_command(settings), server_environment(settings), url, "1 to 2 minutes"))
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
        command = [sys.executable, "-m", "agent.api.server"]
        usual = "about 20 seconds, the first time 2 minutes to encode the concepts"
        children.append(Child("api", command, environment, f"{settings.local_url}/healthz", usual))
    check_memory(memory_gb)
    if starts_llm and uses_embedded_llm:
        try:
            prepare_weights(settings.models_dir)
        except EmbeddedModelError as error:
            raise StartError(str(error)) from None
    return children


def make_first_key(settings: Settings) -> str | None:
    """The admin key, made and kept in `admin_key_path` if no key was ever made; None if one was.

    Raises:
        StartError: the database or the file cannot be written.
    """
    try:
        database = open_database(settings.decision_log_url)
        try_writing(database)
        key = Tenants(database).create_first()
        database.dispose()
        if key:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
            settings.admin_key_path.unlink(missing_ok=True)  # of a database that is gone
            opened = os.open(settings.admin_key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(opened, "w", encoding="ascii") as file:
                file.write(f"{key}\n")
    except SQLAlchemyError as error:
        raise StartError(f"cannot use the database: {error}. Check PROPRIETY_DATABASE_URL.") from None
    except OSError as error:
        raise StartError(f"cannot write in {settings.data_dir}: {error}. Check PROPRIETY_DATA_DIR.") from None
    return key


def _environment(settings: Settings) -> dict[str, str]:
    """This process's environment plus every setting that was given, which the children read as their own settings."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    values = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in given.items()
    }
    chosen = {f"PROPRIETY_{name.upper()}": str(value) for name, value in values.items() if value is not None}
    return {**os.environ, **chosen}
