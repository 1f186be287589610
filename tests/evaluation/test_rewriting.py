"""Rewriting is measured on the rows that the moderator really rewrites."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROWS = [
    ("a woman drinking red wine in a garden", "unsafe"),
    ("a man with a beer in a small boat", "unsafe"),
    ("a bowl of apples on a table", "unsafe"),
    ("a bottle of whisky", "safe"),
]


def test_shares_are_of_the_unsafe_rows_that_the_policy_rewrites(tmp_path: Path, data_dir: Path, llm_url: str) -> None:
    lines = [json.dumps({"id": i, "text": text, "label": label}) for i, (text, label) in enumerate(ROWS)]
    (tmp_path / "drinks.jsonl").write_text("\n".join(lines), encoding="utf-8")
    # In its own process, because LangChain's HTTP clients stay in the first event loop that uses them.
    command = [sys.executable, "-m", "evaluation.rewriting", "--data", str(tmp_path), "--set", "drinks"]
    environment = {
        **os.environ,
        "PROPRIETY_LLM_URL": llm_url,
        "PROPRIETY_LLM_TIMEOUT_S": "600",
        "PROPRIETY_DATA_DIR": str(data_dir),
    }
    result = subprocess.run(
        [*command, "--locale", "ar-SA"], env=environment, capture_output=True, text=True, timeout=600, check=True
    )
    assert "| unsafe rows that the policy rewrites | 2 |" in result.stdout
    assert "| a safe prompt was found | 100.0% |" in result.stdout
