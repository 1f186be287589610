"""LLM Guard's scanners that load no model, over HTTP: its own API is not on PyPI. Runs in LLM Guard's environment."""

import json
import os
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from llm_guard import scan_prompt
from llm_guard.input_scanners import BanSubstrings, InvisibleText, Secrets
from llm_guard.util import configure_logger
from pydantic import BaseModel

configure_logger("WARNING")
phrases = json.loads(Path(os.environ["PHRASES"]).read_text(encoding="utf-8"))
scanners = [BanSubstrings(phrases), InvisibleText(), Secrets()]
app = FastAPI()


class Analysed(BaseModel):
    prompt: str


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "alive"}


@app.post("/analyze/prompt")
def analyze(body: Analysed) -> dict[str, object]:
    sanitised, valid, scores = scan_prompt(scanners, body.prompt)
    return {"sanitized_prompt": sanitised, "is_valid": all(valid.values()), "scanners": scores}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
