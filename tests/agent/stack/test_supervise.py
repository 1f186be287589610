"""Real child processes: small HTTP servers, each with a child of its own; some ignore SIGTERM, some die on request."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from agent.stack import StartError
from agent.stack import supervise as module
from agent.stack.supervise import Child, supervise

SERVER = """
import http.server, os, signal, subprocess, sys
port, pids, stubborn = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "stubborn"
if stubborn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen(["sleep", "300"])
with open(pids, "a") as file:
    print(os.getpid(), grandchild.pid, sep="\\n", file=file)
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def do_DELETE(self):
        print("out of ideas", flush=True); os._exit(3)
http.server.HTTPServer(("127.0.0.1", port), Healthy).serve_forever()
"""


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEALTH_POLL_S", 0.02)
    monkeypatch.setattr(module, "QUIET_STOP_S", 0.1)


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "pids"
    yield path
    for pid in alive(path):
        os.kill(pid, signal.SIGKILL)


def alive(pids: Path) -> list[int]:
    """The recorded processes that still run; a dead one that is not yet reaped does not count."""
    if not pids.exists():
        return []
    running = []
    for pid in pids.read_text().split():
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            continue
        if state != "Z":
            running.append(int(pid))
    return running


def child(tmp_path: Path, port: int, kind: str = "obedient") -> Child:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    command = [sys.executable, str(script), str(port), str(tmp_path / "pids"), kind]
    return Child("part", command, dict(os.environ), f"http://127.0.0.1:{port}/", "a second")


def quiet() -> Console:
    return Console(file=StringIO())


class InterruptingOutput(StringIO):
    """Sends SIGINT to this process when the console reports that it waits for a child to finish."""

    def write(self, text: str) -> int:
        if "Waiting up to" in text:
            os.kill(os.getpid(), signal.SIGINT)
        return super().write(text)


def test_children_run_inside_the_block_and_are_gone_afterwards_with_their_own_children(
    tmp_path: Path, free_port: int, pids: Path
) -> None:
    with supervise([child(tmp_path, free_port)], tmp_path / "logs", 30, quiet()) as check_alive:
        check_alive()
        assert len(alive(pids)) == 2
    assert alive(pids) == []


def test_a_child_that_ignores_sigterm_is_killed_after_the_grace_period(
    tmp_path: Path, free_port: int, pids: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.2)
    with supervise([child(tmp_path, free_port, "stubborn")], tmp_path / "logs", 30, quiet()):
        assert len(alive(pids)) == 2
    assert alive(pids) == []


def test_a_long_stop_is_reported_and_a_second_signal_ends_it(tmp_path: Path, free_port: int, pids: Path) -> None:
    output = InterruptingOutput()
    with supervise([child(tmp_path, free_port, "stubborn")], tmp_path / "logs", 30, Console(file=output)):
        begin = time.monotonic()
    assert time.monotonic() - begin < 20
    assert alive(pids) == []
    assert "Waiting up to 120 s for part" in output.getvalue()


def test_a_child_that_dies_while_serving_is_named_with_the_end_of_its_log(
    tmp_path: Path, free_port: int, pids: Path
) -> None:
    def serve() -> None:
        with supervise([child(tmp_path, free_port)], tmp_path / "logs", 30, quiet()) as check_alive:
            check_alive()
            with pytest.raises(httpx.TransportError):
                httpx.delete(f"http://127.0.0.1:{free_port}/", trust_env=False)
            while True:
                check_alive()
                time.sleep(0.02)

    with pytest.raises(StartError, match=r"part exited with status 3(.|\n)*out of ideas"):
        serve()
    assert alive(pids) == []


def test_when_one_child_cannot_start_the_others_are_stopped(tmp_path: Path, free_port: int, pids: Path) -> None:
    broken = Child("broken", [sys.executable, "-c", "raise SystemExit('no model')"], {}, "http://127.0.0.1:9/", "")
    good = child(tmp_path, free_port)
    with (
        pytest.raises(StartError, match=r"broken exited with status 1(.|\n)*no model"),
        supervise([good, broken], tmp_path / "logs", 30, quiet()),
    ):
        pass
    assert alive(pids) == []


def test_a_child_that_never_becomes_healthy_is_given_up(tmp_path: Path) -> None:
    mute = Child("mute", ["sleep", "300"], dict(os.environ), "http://127.0.0.1:9/", "")
    with (
        pytest.raises(StartError, match="PROPRIETY_STARTUP_TIMEOUT_S"),
        supervise([mute], tmp_path / "logs", 0.1, quiet()),
    ):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_stop_every_child(
    tmp_path: Path, free_port: int, pids: Path, number: signal.Signals
) -> None:
    program = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from rich.console import Console
        from agent.stack.supervise import Child, supervise
        child = Child("part", {list(child(tmp_path, free_port).command)!r}, {{}}, "http://127.0.0.1:{free_port}/", "")
        with supervise([child], Path({str(tmp_path / "logs")!r}), 30, Console()):
            print("serving", flush=True)
            time.sleep(300)
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        assert any(line == "serving\n" for line in supervisor.stdout)
        assert len(alive(pids)) == 2
        supervisor.send_signal(number)
        supervisor.communicate(timeout=30)
    assert supervisor.returncode != 0
    assert alive(pids) == []
