"""A policy file is broken while served: the previous policies stay in force, and /readyz reports it until fixed."""

import shutil
from pathlib import Path
from typing import Any

WATCH_S = 0.2
NOTICED_WITHIN_S = 10.0
WINE, NEAREST = "a woman holding a wine glass", "propriety-nearest"


def test_a_policy_file_broken_and_fixed_while_served(
    serve: Any, small_policies: Path, tmp_path: Path, wait_until: Any
) -> None:
    policies = Path(shutil.copytree(small_policies, tmp_path / "policies"))
    file = policies / "ar-SA.yaml"
    good, log = file.read_text(encoding="utf-8"), tmp_path / "api.log"
    with serve(tmp_path, policies_dir=policies, policies_watch_s=WATCH_S) as api:
        before = api.decision(WINE, NEAREST)
        assert before["action"] == "rewrite"
        for broken in (good[: len(good) // 2], good.replace("severity: medium", "severity: mild"), "\x00", ""):
            log_length = len(log.read_text(encoding="utf-8"))
            file.write_text(broken, encoding="utf-8")
            wait_until(lambda: api.ready()[1]["policies"].startswith("degraded: "), NOTICED_WITHIN_S)
            assert f"{file}:" in log.read_text(encoding="utf-8")[log_length:]
            readiness = api.client.get("/readyz")
            assert readiness.status_code == 200
            assert file.name not in readiness.text
            during = api.decision(WINE, NEAREST)
            assert (during["action"], during["policy"]) == ("rewrite", before["policy"])
            file.write_text(good, encoding="utf-8")
            seconds = wait_until(lambda: api.ready()[1]["policies"] == "ok", NOTICED_WITHIN_S)
        print(f"back after {seconds:.1f} s")
        file.unlink()
        wait_until(lambda: api.decision(WINE, NEAREST)["policy"]["locale"] == "base", NOTICED_WITHIN_S)
