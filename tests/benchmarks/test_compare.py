"""A guard of a few lines is measured: what it flags, its times and its memory."""

import sys
from pathlib import Path

import pytest

from benchmarks.compare import HEAD, measure
from benchmarks.guards import Guard, _serve
from benchmarks.workload import HARMLESS, OFFENDING, Request

SERVER = """
import http.server, json, os
held = bytearray(50_000_000)
class Words(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200); self.send_header("content-length", "0"); self.end_headers()
    def do_POST(self):
        text = json.loads(self.rfile.read(int(self.headers["content-length"])))["text"]
        answer = json.dumps({"bad": os.environ["WORD"] in text}).encode()
        self.send_response(200); self.send_header("content-length", str(len(answer))); self.end_headers()
        self.wfile.write(answer)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Words).serve_forever()
"""


@pytest.mark.slow
def test_a_guard_is_started_measured_and_stopped(tmp_path: Path, capsys) -> None:
    sent = [Request(f"a glass of wine, number {number}", "ar-SA", OFFENDING) for number in range(7)]
    sent += [Request(f"a glass of juice, number {number}", "ar-SA", HARMLESS) for number in range(5)]
    server = tmp_path / "server.py"
    server.write_text(SERVER)
    guard = Guard(
        "A word", "whether it has the word",
        lambda: _serve(tmp_path, [sys.executable, str(server)], {"WORD": "wine"}, "/"),
        "/", lambda one: {"text": one.text}, lambda answer: bool(answer["bad"]),
    )  # fmt: skip
    measure(guard, sent, 3)
    (line,) = capsys.readouterr().out.splitlines()
    row = dict(zip(HEAD, line.strip("| ").split(" | "), strict=True))
    assert (row["guard"], row["at once"]) == ("A word", "3")
    assert (row["flagged: offending"], row["harmless"]) == ("7 of 7", "0 of 5")
    assert 0 < float(row["first answer after s"]) < 30
    assert 0 < float(row["p50 ms"]) <= float(row["p95 ms"])
    assert 50 <= float(row["memory MB"]) < 200
