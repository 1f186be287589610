"""How another guard is measured, on one of a few lines: what it flags, how long it takes, and what memory."""

import sys
from pathlib import Path

from benchmarks.asking import Asked
from benchmarks.beside import HEAD, Guard, _served, measure

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


def test_a_guard_is_started_asked_counted_and_stopped(tmp_path: Path, capsys) -> None:
    asked = [Asked(f"a glass of wine, number {number}", "ar-SA", "offends") for number in range(7)]
    asked += [Asked(f"a glass of juice, number {number}", "ar-SA", "harmless") for number in range(5)]
    server = tmp_path / "server.py"
    server.write_text(SERVER)
    guard = Guard(
        "A word", "whether it has the word",
        lambda: _served(tmp_path, [sys.executable, str(server)], {"WORD": "wine"}, "/"),
        "/", lambda one: {"text": one.text}, lambda answer: bool(answer["bad"]),
    )  # fmt: skip
    measure(guard, asked, 3)
    (line,) = capsys.readouterr().out.splitlines()
    row = dict(zip(HEAD, line.strip("| ").split(" | "), strict=True))
    assert (row["guard"], row["at once"]) == ("A word", "3")
    assert (row["flagged: offending"], row["harmless"]) == ("7 of 7", "0 of 5")
    assert 0 < float(row["first answer after s"]) < 30
    assert 0 < float(row["p50 ms"]) <= float(row["p95 ms"])
    assert 50 <= float(row["memory MB"]) < 200
