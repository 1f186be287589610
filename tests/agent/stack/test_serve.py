"""Real child processes: tiny HTTP servers that stand for the parts, and one that refuses to go."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from agent.settings import Settings
from agent.stack import preflight
from agent.stack import serve as stack
from agent.stack.preflight import StartError, check_memory, check_port_free, check_python
from agent.stack.serve import Child, Part, plan, supervise
from agent.store.database import open_database
from agent.store.tenants import Scope, Tenants, Terms

SERVER = """
import http.server, os, subprocess, sys
port, pids, stubborn, lives_s = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "stubborn", float(sys.argv[4])
import signal, threading
if stubborn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen(["sleep", "300"])
with open(pids, "a") as file:
    print(os.getpid(), grandchild.pid, sep="\\n", file=file)
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
server = http.server.HTTPServer(("127.0.0.1", port), Healthy)
if lives_s:
    def die():
        print("out of ideas", flush=True); os._exit(3)
    threading.Timer(lives_s, die).start()
server.serve_forever()
"""


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROPRIETY_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def free_port(free_port: Callable[[], int]) -> int:
    return free_port()


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "pids"
    yield path
    for pid in alive(path):
        os.kill(pid, signal.SIGKILL)


def alive(pids: Path) -> list[int]:
    """The recorded processes that still run; one that is dead and not yet reaped does not."""
    if not pids.exists():
        return []
    found = []
    for pid in pids.read_text().split():
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            continue
        if state != "Z":
            found.append(int(pid))
    return found


def child(tmp_path: Path, port: int, kind: str = "obedient", lives_s: float = 0, name: str = "part") -> Child:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    command = [sys.executable, str(script), str(port), str(tmp_path / "pids"), kind, str(lives_s)]
    return Child(name, command, dict(os.environ), f"http://127.0.0.1:{port}/", "a second")


def quiet() -> Console:
    return Console(file=StringIO())


def test_children_are_healthy_inside_and_gone_after_with_their_own_children(
    tmp_path: Path, free_port: int, pids: Path
) -> None:
    with supervise([child(tmp_path, free_port)], tmp_path / "logs", 30, quiet()) as check_alive:
        check_alive()
        assert len(alive(pids)) == 2
    assert alive(pids) == []


def test_a_child_that_ignores_sigterm_is_killed_after_the_grace(
    tmp_path: Path, free_port: int, pids: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "QUIET_S", 0.1)
    monkeypatch.setattr(stack, "GRACE_S", 0.5)
    with supervise([child(tmp_path, free_port, "stubborn")], tmp_path / "logs", 30, quiet()):
        assert len(alive(pids)) == 2
    assert alive(pids) == []


def test_whoever_waits_for_a_child_is_told_and_a_second_signal_ends_it(
    tmp_path: Path, free_port: int, pids: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "QUIET_S", 0.1)
    console, begin = quiet(), time.monotonic()
    with supervise([child(tmp_path, free_port, "stubborn")], tmp_path / "logs", 30, console):
        again = threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT))
        begin = time.monotonic()
        again.start()
    assert time.monotonic() - begin < 20
    assert alive(pids) == []
    assert isinstance(console.file, StringIO)
    assert "Waiting up to 120 s for part" in console.file.getvalue()


def test_a_child_that_dies_while_serving_is_named_with_the_end_of_its_log(
    tmp_path: Path, free_port: int, pids: Path
) -> None:
    def serve() -> None:
        with supervise([child(tmp_path, free_port, lives_s=2)], tmp_path / "logs", 30, quiet()) as check_alive:
            while True:
                check_alive()
                time.sleep(0.05)

    with pytest.raises(StartError, match=r"part ended with status 3(.|\n)*out of ideas"):
        serve()
    assert alive(pids) == []


def test_when_one_cannot_start_the_others_are_stopped(tmp_path: Path, free_port: int, pids: Path) -> None:
    broken = Child("broken", [sys.executable, "-c", "raise SystemExit('no model')"], {}, "http://127.0.0.1:9/", "")
    good = child(tmp_path, free_port)
    with (
        pytest.raises(StartError, match=r"broken ended with status 1(.|\n)*no model"),
        supervise([good, broken], tmp_path / "logs", 30, quiet()),
    ):
        pass
    assert alive(pids) == []


def test_a_child_that_never_answers_is_given_up(tmp_path: Path) -> None:
    mute = Child("mute", ["sleep", "300"], dict(os.environ), "http://127.0.0.1:9/", "")
    with (
        pytest.raises(StartError, match="PROPRIETY_STARTUP_TIMEOUT_S"),
        supervise([mute], tmp_path / "logs", 0.5, quiet()),
    ):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_every_child(tmp_path: Path, free_port: int, pids: Path, number: signal.Signals) -> None:
    program = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from rich.console import Console
        from agent.stack.serve import Child, supervise
        child = Child("part", {list(child(tmp_path, free_port).command)!r}, {{}}, "http://127.0.0.1:{free_port}/", "")
        with supervise([child], Path({str(tmp_path / "logs")!r}), 30, Console()):
            print("serving", flush=True)
            time.sleep(300)
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as serve:
        assert serve.stdout is not None
        assert any(line == "serving\n" for line in serve.stdout)
        assert len(alive(pids)) == 2
        serve.send_signal(number)
        serve.communicate(timeout=30)
    assert serve.returncode != 0
    assert alive(pids) == []


def test_a_busy_port_is_refused_and_its_setting_named(free_port: int) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port))
        listener.listen()
        with pytest.raises(StartError, match=rf"port {free_port} .* PROPRIETY_GENERATOR_PORT"):
            check_port_free("127.0.0.1", free_port, "PROPRIETY_GENERATOR_PORT")
    check_port_free("127.0.0.1", free_port, "PROPRIETY_GENERATOR_PORT")


def test_too_little_memory_is_refused_with_both_figures(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  8000000 kB\nMemAvailable:  2000000 kB\n")
    with pytest.raises(StartError, match=r"2\.0 GB of memory .* 6\.5 GB"):
        check_memory(preflight.LLM_MEMORY_GB, meminfo)
    check_memory(1.5, meminfo)


def test_another_python_is_refused() -> None:
    with pytest.raises(StartError, match=r"3\.13"):
        check_python((3, 13))


def test_what_a_setting_places_elsewhere_is_not_started(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    monkeypatch.setattr(stack, "check_memory", lambda needed_gb: None)
    settings = Settings(llm_url="http://gpu:1/v1", generator_url="http://gpu:2", port=free_port)
    assert [item.name for item in plan(settings, set(Part))] == ["api"]


def test_settings_made_here_reach_the_children(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    monkeypatch.setattr(stack, "check_memory", lambda needed_gb: None)
    settings = Settings(llm_url="http://gpu:1/v1", generator_url="http://gpu:2", port=free_port, default_locale="de-DE")
    (api,) = plan(settings, {Part.API})
    assert api.environment["PROPRIETY_DEFAULT_LOCALE"] == "de-DE"


def test_the_worker_is_told_who_signs(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    monkeypatch.setattr(stack, "check_memory", lambda needed_gb: None)
    settings = Settings(generator_port=free_port, signing_cert=Path("chain.pem"), signing_key=Path("key.pem"))
    (worker,) = plan(settings, {Part.GENERATOR})
    assert worker.command[-4:] == ["--signing-cert", "chain.pem", "--signing-key", "key.pem"]


def test_without_a_key_an_address_that_others_reach_is_refused_and_with_one_it_is_served(
    monkeypatch: pytest.MonkeyPatch, free_port: int, tmp_path: Path
) -> None:
    monkeypatch.setattr(stack, "check_memory", lambda needed_gb: None)
    settings = Settings(host="0.0.0.0", port=free_port, database_url=f"sqlite:///{tmp_path}/keys.db")
    with pytest.raises(StartError, match="propriety keys create"):
        plan(settings, {Part.API})
    for host in ("127.0.0.1", "localhost"):
        assert plan(settings.model_copy(update={"host": host}), {Part.API})
    database = open_database(settings.decision_log_url)
    Tenants(database).create("acme", Terms(scopes=[Scope.MODERATE]))
    database.dispose()
    assert plan(settings, {Part.API})
