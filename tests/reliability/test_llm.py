"""The LLM killed, hung, slow, or talking nonsense: the neighbours decide, strictly and soon, until it is back."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

PATIENCE_S, SOON_S, BACK_S = 1.0, 3.0, 5.0
KNOWN_S = 10.0  # until /readyz tells of it
AT_ONCE = 8


@pytest.fixture(scope="module")
def api(serve: Any, llm: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with serve(tmp_path_factory.mktemp("api"), llm_url=llm.url, llm_timeout_s=PATIENCE_S) as api:
        yield api


def asked_at_once(api: Any) -> list[tuple[float, dict[str, Any]]]:
    """Seconds and decisions of a few who ask at the same time."""

    def one(_: int) -> tuple[float, dict[str, Any]]:
        started = time.monotonic()
        decision = api.decision()
        return time.monotonic() - started, decision

    with ThreadPoolExecutor(AT_ONCE) as callers:
        return list(callers.map(one, range(AT_ONCE)))


def check_nothing_was_let_through_or_lost(api: Any, asked: list[tuple[float, dict[str, Any]]]) -> None:
    for _, decision in asked:
        assert decision["status"] == "degraded"
        assert decision["action"] != "allow"
        assert api.logged(decision["id"])


def check_it_comes_back(api: Any, wait_until: Any) -> None:
    seconds = wait_until(lambda: api.decision()["status"] == "ok", BACK_S)
    print(f"back after {seconds:.1f} s")
    assert api.decision()["action"] == "allow"


def test_in_health_the_judge_decides(api: Any) -> None:
    decision = api.decision()
    assert (decision["status"], decision["action"]) == ("ok", "allow")
    assert api.ready()[1]["llm"] == "ok"


def test_killed_while_it_is_asked(api: Any, llm: Any, wait_until: Any) -> None:
    llm.fail("late")
    with ThreadPoolExecutor(1) as caller:
        asked = caller.submit(asked_at_once, api)
        time.sleep(0.2)
        llm.end()
        during = asked.result()
    after = asked_at_once(api)
    check_nothing_was_let_through_or_lost(api, during + after)
    assert max(seconds for seconds, _ in during + after) < SOON_S
    llm.start()
    check_it_comes_back(api, wait_until)


def test_hung_with_its_port_open(api: Any, llm: Any, wait_until: Any) -> None:
    llm.process.send_signal(signal.SIGSTOP)
    first, then = asked_at_once(api), asked_at_once(api)
    check_nothing_was_let_through_or_lost(api, first + then)
    assert max(seconds for seconds, _ in first + then) < PATIENCE_S + SOON_S
    assert sum(seconds >= PATIENCE_S for seconds, _ in then) <= 1, (
        "one finds out whether it still hangs, and nobody else waits"
    )
    wait_until(lambda: api.ready()[1]["llm"].startswith("degraded: "), KNOWN_S)
    started = time.monotonic()
    assert api.ready()[0] == 200
    assert time.monotonic() - started < SOON_S
    llm.process.send_signal(signal.SIGCONT)
    check_it_comes_back(api, wait_until)


@pytest.mark.parametrize(
    "fault",
    [
        "dribbling", "cut", "truncated", "garbage", "a web page", "no probabilities", "probabilities of no number",
        "probabilities beyond certain",
    ],
)  # fmt: skip
def test_talking_nonsense(api: Any, llm: Any, wait_until: Any, fault: str) -> None:
    llm.fail(fault)
    asked = asked_at_once(api)
    check_nothing_was_let_through_or_lost(api, asked)
    assert max(seconds for seconds, _ in asked) < PATIENCE_S + SOON_S
    llm.fail("")
    check_it_comes_back(api, wait_until)
