"""`python stand_in_llm.py PORT`: an LLM server that fails on demand, as no real one can be made to.

In health it finds nothing wrong with any prompt and words every swap as it is told. `PUT /fault` with a name of FAULTS
makes it fail from the next question on, with an empty body no more.
"""

import json
import math
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.server.fault = self.body().decode()  # type: ignore[attr-defined]
        self.answer(b"")

    def do_POST(self) -> None:
        asked = json.loads(self.body())
        FAULTS[self.server.fault](self, completion(asked))  # type: ignore[attr-defined]

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["content-length"]))

    def answer(self, body: bytes, promised: int | None = None, kind: str = "application/json") -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body) if promised is None else promised))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def completion(asked: dict[str, Any]) -> dict[str, Any]:
    last = json.loads(asked["messages"][-1]["content"])
    edited = last["prompt"].replace(last["remove"], last["instead"]) if "remove" in last else "no"
    top = [{"token": "no", "logprob": -0.01, "bytes": None}, {"token": "yes", "logprob": -4.6, "bytes": None}]
    told = {"content": [{**top[0], "top_logprobs": top}], "refusal": None} if asked.get("logprobs") else None
    message = {"role": "assistant", "content": edited}
    choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": told}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def well(handler: Handler, told: dict[str, Any]) -> None:
    handler.answer(json.dumps(told).encode())


def late(handler: Handler, told: dict[str, Any]) -> None:
    time.sleep(0.5)
    well(handler, told)


def dribbling(handler: Handler, told: dict[str, Any]) -> None:
    """Each byte comes in time, and the last one never."""
    handler.answer(b"", promised=10_000)
    for _ in range(10_000):
        handler.wfile.write(b" ")
        time.sleep(0.05)


def cut(handler: Handler, told: dict[str, Any]) -> None:
    body = json.dumps(told).encode()
    handler.answer(body[: len(body) // 2], promised=len(body))
    handler.close_connection = True


def truncated(handler: Handler, told: dict[str, Any]) -> None:
    body = json.dumps(told).encode()
    handler.answer(body[: len(body) // 2])


def garbage(handler: Handler, told: dict[str, Any]) -> None:
    handler.answer(bytes(range(256)) * 100)


def web_page(handler: Handler, told: dict[str, Any]) -> None:
    handler.answer(b"<html><h1>It works!</h1></html>", kind="text/html")


def spoilt(change: Callable[[dict[str, Any]], None]) -> Callable[[Handler, dict[str, Any]], None]:
    def fault(handler: Handler, told: dict[str, Any]) -> None:
        change(told["choices"][0])
        well(handler, told)

    return fault


def of_no_number(choice: dict[str, Any]) -> None:
    for one in choice["logprobs"]["content"][0]["top_logprobs"]:
        one["logprob"] = math.nan


def beyond_certain(choice: dict[str, Any]) -> None:
    choice["logprobs"]["content"][0]["top_logprobs"][0]["logprob"] = 1e308


def without_probabilities(choice: dict[str, Any]) -> None:
    choice["logprobs"] = None


FAULTS = {
    "": well, "late": late, "dribbling": dribbling, "cut": cut, "truncated": truncated, "garbage": garbage,
    "a web page": web_page, "probabilities of no number": spoilt(of_no_number),
    "probabilities beyond certain": spoilt(beyond_certain), "no probabilities": spoilt(without_probabilities),
}  # fmt: skip

if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler) as server:
        server.daemon_threads = True
        server.fault = ""  # type: ignore[attr-defined]
        server.serve_forever()
