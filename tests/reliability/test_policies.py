"""A policy file broken while it is served: those of before go on, and whoever asks is told so until it is mended."""

import shutil
from pathlib import Path
from typing import Any

WATCHED_S = 0.2
SEEN_S = 10.0
WINE, NEAREST = "a woman holding a wine glass", "propriety-nearest"


def test_broken_while_served_and_mended(serve: Any, small_policies: Path, tmp_path: Path, wait_until: Any) -> None:
    policies = Path(shutil.copytree(small_policies, tmp_path / "policies"))
    file = policies / "ar-SA.yaml"
    good, log = file.read_text(encoding="utf-8"), tmp_path / "api.log"
    with serve(tmp_path, policies_dir=policies, policies_watch_s=WATCHED_S) as api:
        before = api.decision(WINE, NEAREST)
        assert before["action"] == "rewrite"
        for spoilt in (good[: len(good) // 2], good.replace("severity: medium", "severity: mild"), "\x00", ""):
            logged = len(log.read_text(encoding="utf-8"))
            file.write_text(spoilt, encoding="utf-8")
            wait_until(lambda: api.ready()[1]["policies"].startswith("degraded: "), SEEN_S)
            assert f"{file}:" in log.read_text(encoding="utf-8")[logged:]
            told = api.client.get("/readyz")
            assert told.status_code == 200
            assert file.name not in told.text
            during = api.decision(WINE, NEAREST)
            assert (during["action"], during["policy"]) == ("rewrite", before["policy"])
            file.write_text(good, encoding="utf-8")
            seconds = wait_until(lambda: api.ready()[1]["policies"] == "ok", SEEN_S)
        print(f"back after {seconds:.1f} s")
        file.unlink()
        wait_until(lambda: api.decision(WINE, NEAREST)["policy"]["locale"] == "base", SEEN_S)
