"""`propriety moderate` where a service runs: the service judges, and its refusals and failures end the command."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner, Result

from agent.store.database import open_database
from agent.store.tenants import Scope, Tenants, Terms
from cli import app
from propriety.verdict import Verdict

pytestmark = pytest.mark.usefixtures("workplace")

WINE = "a woman holding a wine glass"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["moderate", "--json", *arguments])


def decided(url: str, folder: Path) -> list[str]:
    """The prompts in the service's decision log."""
    engine = create_engine(f"sqlite:///{folder}/propriety.db")
    with engine.connect() as connection:
        prompts = list(connection.scalars(text("SELECT prompt FROM decisions ORDER BY created_at")))
    engine.dispose()
    return prompts


def without(verdict: str, *fields: str) -> dict[str, Any]:
    return Verdict.model_validate_json(verdict).model_dump(exclude=set(fields))


@pytest.fixture(scope="module")
def service(
    start_api: Callable[..., AbstractContextManager[tuple[str, object]]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """URL and data folder of an API that serves anybody on this machine."""
    folder = tmp_path_factory.mktemp("service")
    with start_api(folder) as (url, _):
        yield url, folder


@pytest.fixture
def at_its_port(service: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The service listens where the settings say. Its data folder."""
    monkeypatch.setenv("PROPRIETY_PORT", service[0].rpartition(":")[2])
    return service[1]


@contextmanager
def responding(status: int, content: str) -> Iterator[tuple[str, list[Any]]]:
    """A server that always responds with this; its URL, and the headers that it received."""
    received = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.headers)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--locale", "ar-SA"), ("--locale", "ar-SA", "--detector", "nearest"), ()])
def test_the_verdict_is_the_same_from_a_service_and_from_this_process(at_its_port, service, options):
    before = len(decided(*service))
    there, here = run(*options, WINE), run(*options, WINE, "--local")
    assert there.exit_code == here.exit_code == 0
    varying = ("id", "timings_ms")
    assert without(there.stdout, *varying) == without(here.stdout, *varying)
    assert decided(*service)[before:] == [WINE]  # one of the two
    assert (Path("data") / "propriety.db").exists()


@pytest.mark.slow
def test_a_service_is_found_by_its_url_and_nothing_is_loaded_here(service, monkeypatch):
    monkeypatch.setenv("PROPRIETY_URL", f"{service[0]}/")
    monkeypatch.setenv("PROPRIETY_POLICIES_DIR", "nowhere")
    result = CliRunner().invoke(app, ["moderate", "--locale", "ar-SA", WINE])
    assert result.exit_code == 0
    assert "REWRITE under ar-SA" in result.stdout
    assert not Path("data").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("",), "empty"),
        (("a\x00b",), "NUL"),
        (("\udcff",), "surrogate"),
        (("--locale", "zz-ZZ", WINE), "'zz-ZZ'"),
        (("x" * 9000,), "9000 characters"),
    ],
)
def test_the_service_s_reason_is_printed_if_it_refuses_a_prompt(at_its_port, arguments, reason):
    result = run(*arguments)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.slow
def test_the_key_is_sent_and_a_refused_key_ends_with_2(start_api, tmp_path, monkeypatch):
    folder = tmp_path / "keyed"
    folder.mkdir()
    database = open_database(f"sqlite:///{folder}/propriety.db")
    key = Tenants(database).create("acme", Terms(scopes=[Scope.MODERATE]))
    database.dispose()
    with start_api(folder, keyless=False) as (url, _):
        monkeypatch.setenv("PROPRIETY_URL", url)
        for wrong in ("", "wrong"):
            monkeypatch.setenv("PROPRIETY_API_KEY", wrong)
            result = run(WINE)
            assert result.exit_code == 2
            assert "key" in result.stderr
        monkeypatch.setenv("PROPRIETY_API_KEY", key)
        assert run(WINE).exit_code == 0
        assert decided(url, folder) == [WINE]


@pytest.mark.parametrize(("status", "exit_code"), [(401, 2), (403, 2), (429, 1), (500, 1), (503, 1)])
@pytest.mark.parametrize("setting", ["PROPRIETY_URL", "PROPRIETY_PORT"])
def test_an_error_of_the_service_is_shown_and_not_judged_around(setting, status, exit_code, monkeypatch):
    error = {"error": {"message": "Try again later.", "type": "requests", "param": None, "code": "x"}}
    with responding(status, json.dumps(error)) as (url, _):
        monkeypatch.setenv(setting, url if setting == "PROPRIETY_URL" else url.rpartition(":")[2])
        result = run(WINE)
    assert result.exit_code == exit_code
    assert result.stderr == f"{url}: Try again later.\n"
    assert not Path("data").exists()


@pytest.mark.parametrize("content", ["<html>", "[]", "{}", '{"results": [{"decision": {}}]}', '{"error": "no"}'])
@pytest.mark.parametrize("status", [200, 404])
def test_a_server_that_is_not_propriety_is_named_and_not_judged_around(status, content, monkeypatch):
    with responding(status, content) as (url, _):
        monkeypatch.setenv("PROPRIETY_PORT", url.rpartition(":")[2])
        result = run(WINE)
    assert result.exit_code == 1
    assert f"{url} is not a Propriety service" in result.stderr
    assert not Path("data").exists()


def test_a_named_service_that_cannot_be_reached_ends_with_1_and_what_to_do(monkeypatch):
    monkeypatch.setenv("PROPRIETY_URL", "http://127.0.0.1:9")
    result = run(WINE)
    assert result.exit_code == 1
    assert "PROPRIETY_URL" in result.stderr
    assert "--local" in result.stderr
    assert run("--local", WINE).exit_code == 0


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "http://[", "ftp://127.0.0.1"])
def test_an_address_that_is_not_a_url_ends_with_a_reason(url, monkeypatch):
    monkeypatch.setenv("PROPRIETY_URL", url)
    result = run(WINE)
    assert result.exit_code in (1, 2)
    assert url in result.stderr


def test_a_file_is_judged_here(monkeypatch):
    monkeypatch.setenv("PROPRIETY_URL", "http://127.0.0.1:9")
    Path("in.jsonl").write_text(json.dumps({"id": 1, "text": WINE}))
    assert CliRunner().invoke(app, ["moderate", "--input", "in.jsonl", "--output", "out.jsonl"]).exit_code == 0
