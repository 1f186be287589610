"""The LLM is killed, hangs, is slow, or returns nonsense: the neighbours decide, strictly and without delay."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

LLM_TIMEOUT_S, SOON_S, BACK_WITHIN_S = 1.0, 3.0, 5.0
KNOWN_WITHIN_S = 10.0  # /readyz reports it
CALLERS = 8


@pytest.fixture(scope="module")
def api(serve: Any, llm: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with serve(tmp_path_factory.mktemp("api"), llm_url=llm.url, llm_timeout_s=LLM_TIMEOUT_S) as api:
        yield api


def ask_at_once(api: Any) -> list[tuple[float, dict[str, Any]]]:
    """Seconds and decision of each of a few concurrent requests."""

    def ask(_: int) -> tuple[float, dict[str, Any]]:
        started = time.monotonic()
        decision = api.decision()
        return time.monotonic() - started, decision

    with ThreadPoolExecutor(CALLERS) as callers:
        return list(callers.map(ask, range(CALLERS)))


def check_all_are_degraded_and_logged(api: Any, results: list[tuple[float, dict[str, Any]]]) -> None:
    for _, decision in results:
        assert decision["status"] == "degraded"
        assert decision["action"] != "allow"
        assert api.is_logged(decision["id"])


def check_it_comes_back(api: Any, wait_until: Any) -> None:
    seconds = wait_until(lambda: api.decision()["status"] == "ok", BACK_WITHIN_S)
    print(f"back after {seconds:.1f} s")
    assert api.decision()["action"] == "allow"


def test_a_healthy_llm_decides(api: Any) -> None:
    decision = api.decision()
    assert (decision["status"], decision["action"]) == ("ok", "allow")
    assert api.ready()[1]["llm"] == "ok"


def test_an_llm_killed_during_requests_degrades_them_and_comes_back(api: Any, llm: Any, wait_until: Any) -> None:
    llm.fail("late")
    with ThreadPoolExecutor(1) as caller:
        future = caller.submit(ask_at_once, api)
        time.sleep(0.2)
        llm.kill()
        during = future.result()
    after = ask_at_once(api)
    check_all_are_degraded_and_logged(api, during + after)
    assert max(seconds for seconds, _ in during + after) < SOON_S
    llm.start()
    check_it_comes_back(api, wait_until)


def test_an_llm_that_hangs_delays_only_one_request_at_a_time(api: Any, llm: Any, wait_until: Any) -> None:
    llm.process.send_signal(signal.SIGSTOP)
    first, second = ask_at_once(api), ask_at_once(api)
    check_all_are_degraded_and_logged(api, first + second)
    assert max(seconds for seconds, _ in first + second) < LLM_TIMEOUT_S + SOON_S
    assert sum(seconds >= LLM_TIMEOUT_S for seconds, _ in second) <= 1, (
        "one request tests whether the LLM still hangs, and the others do not wait"
    )
    wait_until(lambda: api.ready()[1]["llm"].startswith("degraded: "), KNOWN_WITHIN_S)
    started = time.monotonic()
    assert api.ready()[0] == 200
    assert time.monotonic() - started < SOON_S
    llm.process.send_signal(signal.SIGCONT)
    check_it_comes_back(api, wait_until)


@pytest.mark.parametrize(
    "fault",
    [
        "dribbling", "cut", "truncated", "garbage", "a web page", "no probabilities", "probabilities that are NaN",
        "probabilities above one",
    ],
)  # fmt: skip
def test_an_invalid_response_of_the_llm_degrades_the_decision(api: Any, llm: Any, wait_until: Any, fault: str) -> None:
    llm.fail(fault)
    results = ask_at_once(api)
    check_all_are_degraded_and_logged(api, results)
    assert max(seconds for seconds, _ in results) < LLM_TIMEOUT_S + SOON_S
    llm.fail("")
    check_it_comes_back(api, wait_until)
