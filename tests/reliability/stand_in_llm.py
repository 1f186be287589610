"""`python stand_in_llm.py PORT`: an LLM server that fails on demand, in ways that no real one can be made to.

In health it allows every prompt and makes every requested swap. `PUT /fault` with a name of FAULTS as its body makes it
fail from the next request on; an empty body makes it healthy again.
"""

import json
import math
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

TURN = Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.server.fault = self.body().decode()  # type: ignore[attr-defined]
        self.respond(b"")

    def do_POST(self) -> None:
        request = json.loads(self.body())
        FAULTS[self.server.fault](self, completion(request))  # type: ignore[attr-defined]

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["content-length"]))

    def respond(self, body: bytes, announced: int | None = None, kind: str = "application/json") -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body) if announced is None else announced))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def completion(request: dict[str, Any]) -> dict[str, Any]:
    last = json.loads(request["messages"][-1]["content"])
    content = last["prompt"].replace(last["remove"], last["instead"]) if "remove" in last else "no"
    top = [{"token": "no", "logprob": -0.01, "bytes": None}, {"token": "yes", "logprob": -4.6, "bytes": None}]
    logprobs = {"content": [{**top[0], "top_logprobs": top}], "refusal": None} if request.get("logprobs") else None
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": logprobs}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def healthy(handler: Handler, response: dict[str, Any]) -> None:
    handler.respond(json.dumps(response).encode())


def late(handler: Handler, response: dict[str, Any]) -> None:
    time.sleep(0.5)
    healthy(handler, response)


def one_at_a_time(handler: Handler, response: dict[str, Any]) -> None:
    with TURN:
        time.sleep(0.1)
    healthy(handler, response)


def dribbling(handler: Handler, response: dict[str, Any]) -> None:
    """Each byte comes in time, but the last one never comes."""
    handler.respond(b"", announced=10_000)
    for _ in range(10_000):
        handler.wfile.write(b" ")
        time.sleep(0.05)


def cut(handler: Handler, response: dict[str, Any]) -> None:
    body = json.dumps(response).encode()
    handler.respond(body[: len(body) // 2], announced=len(body))
    handler.close_connection = True


def truncated(handler: Handler, response: dict[str, Any]) -> None:
    body = json.dumps(response).encode()
    handler.respond(body[: len(body) // 2])


def garbage(handler: Handler, response: dict[str, Any]) -> None:
    handler.respond(bytes(range(256)) * 100)


def web_page(handler: Handler, response: dict[str, Any]) -> None:
    handler.respond(b"<html><h1>It works!</h1></html>", kind="text/html")


def with_change(change: Callable[[dict[str, Any]], None]) -> Callable[[Handler, dict[str, Any]], None]:
    def fault(handler: Handler, response: dict[str, Any]) -> None:
        change(response["choices"][0])
        healthy(handler, response)

    return fault


def not_a_number(choice: dict[str, Any]) -> None:
    for candidate in choice["logprobs"]["content"][0]["top_logprobs"]:
        candidate["logprob"] = math.nan


def above_one(choice: dict[str, Any]) -> None:
    choice["logprobs"]["content"][0]["top_logprobs"][0]["logprob"] = 1e308


def without_probabilities(choice: dict[str, Any]) -> None:
    choice["logprobs"] = None


FAULTS = {
    "": healthy, "late": late, "one at a time": one_at_a_time,
    "dribbling": dribbling, "cut": cut, "truncated": truncated, "garbage": garbage,
    "a web page": web_page, "probabilities that are NaN": with_change(not_a_number),
    "probabilities above one": with_change(above_one), "no probabilities": with_change(without_probabilities),
}  # fmt: skip

if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler) as server:
        server.daemon_threads = True
        server.fault = ""  # type: ignore[attr-defined]
        server.serve_forever()
