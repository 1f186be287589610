"""An LLM that is slow or gone: no verdict gets worse, live requests are refused, files and batches wait."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

LIVE = 250  # the LLM answers ten a second
LLM_TIMEOUT_S, OUTAGE_S = 6.0, 3.0
LINES = 40
COMMAND = [sys.executable, "-c", "from cli import app; app()", "moderate", "--detector", "llm"]
COMMAND += ["--input", "in.jsonl", "--output", "out.jsonl"]


def test_more_live_requests_than_the_llm_answers_are_refused_and_none_is_degraded(
    serve: Any, llm: Any, tmp_path: Path
) -> None:
    llm.fail("one at a time")
    with serve(tmp_path, llm_url=llm.url, llm_timeout_s=LLM_TIMEOUT_S) as api:
        assert api.decision()["status"] == "ok"

        def ask(number: int) -> httpx.Response:
            time.sleep(number / 50)
            response: httpx.Response = api.ask(f"a bottle in kitchen {number}")
            return response

        with ThreadPoolExecutor(LIVE) as callers:
            responses = list(callers.map(ask, range(LIVE)))
        statuses = Counter(response.status_code for response in responses)
        assert statuses.keys() == {200, 429}
        assert statuses[200] > 10
        for response in responses:
            if response.status_code == 429:
                assert int(response.headers["retry-after"]) >= 1
            else:
                assert response.json()["results"][0]["decision"]["status"] == "ok"
    llm.fail("")


def file_of_prompts(folder: Path) -> Callable[[], list[dict[str, Any]]]:
    lines = [json.dumps({"id": number, "text": f"a bottle in kitchen {number}"}) for number in range(LINES)]
    (folder / "in.jsonl").write_text("\n".join(lines))
    return lambda: [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def environment(llm: Any, folder: Path, small_policies: Path, timeout_s: float) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin", "PROPRIETY_LLM_URL": llm.url, "PROPRIETY_LLM_TIMEOUT_S": str(timeout_s),
        "PROPRIETY_POLICIES_DIR": str(small_policies), "PROPRIETY_DATA_DIR": str(folder / "data"),
        "PROPRIETY_DEFAULT_LOCALE": "ar-SA", "PYTHONPATH": str(Path(__file__).parents[2]),
    }  # fmt: skip


def test_a_file_waits_for_an_llm_that_is_slow(llm: Any, tmp_path: Path, small_policies: Path) -> None:
    llm.fail("one at a time")
    judged = file_of_prompts(tmp_path)
    own = environment(llm, tmp_path, small_policies, timeout_s=0.5)  # 40 at once would take eight times as long
    done = subprocess.run(COMMAND, cwd=tmp_path, env=own, capture_output=True, text=True, timeout=120)
    llm.fail("")
    assert done.returncode == 0, done.stderr
    assert [line["status"] for line in judged()] == ["ok"] * LINES


def test_a_file_waits_for_an_llm_that_stops_and_starts_again(llm: Any, tmp_path: Path, small_policies: Path) -> None:
    llm.fail("late")
    judged = file_of_prompts(tmp_path)
    own = environment(llm, tmp_path, small_policies, timeout_s=5)
    with subprocess.Popen(COMMAND, cwd=tmp_path, env=own, stderr=subprocess.PIPE, text=True) as running:
        while not (tmp_path / "out.jsonl").exists() or not judged():
            assert running.poll() is None
            time.sleep(0.05)
        llm.kill()
        time.sleep(OUTAGE_S)
        llm.start()
        stderr = running.communicate(timeout=120)[1]
    assert running.returncode == 0, stderr
    assert "the LLM did not answer" in stderr
    assert [line["status"] for line in judged()] == ["ok"] * LINES


def test_a_line_of_a_batch_waits_for_the_llm_and_without_it_is_not_judged(
    serve: Any, llm: Any, wait_until: Any, tmp_path: Path
) -> None:
    with serve(tmp_path, llm_url=llm.url, llm_timeout_s=0.3) as api:

        def batch(*prompts: str) -> dict[str, Any]:
            lines = [
                json.dumps({"custom_id": prompt, "method": "POST", "url": "/v1/moderations",
                            "body": {"input": prompt, "model": "propriety-llm", "locale": "ar-SA"}})
                for prompt in prompts
            ]  # fmt: skip
            sent = {"file": ("in.jsonl", "\n".join(lines))}
            file = api.client.post("/v1/files", files=sent, data={"purpose": "batch"}).json()["id"]
            body = {"input_file_id": file, "endpoint": "/v1/moderations", "completion_window": "24h"}
            made: dict[str, Any] = api.client.post("/v1/batches", json=body).json()
            return made

        def ended(made: dict[str, Any]) -> bool:
            made.update(api.client.get(f"/v1/batches/{made['id']}").json())
            return made["status"] == "completed"

        llm.kill()
        first = batch("a bottle in kitchen 1")
        time.sleep(1)
        assert not ended(first)
        llm.start()
        wait_until(lambda: ended(first), 30)
        assert first["request_counts"] == {"total": 1, "completed": 1, "failed": 0}
        llm.kill()
        second = batch("a bottle in kitchen 2", "a bottle in kitchen 3")
        wait_until(lambda: ended(second), 60)
        assert second["request_counts"] == {"total": 2, "completed": 0, "failed": 2}
        errors = api.client.get(f"/v1/files/{second['error_file_id']}/content").text.splitlines()
        assert {json.loads(line)["response"]["body"]["error"]["code"] for line in errors} == {"llm_unavailable"}
        llm.start()
