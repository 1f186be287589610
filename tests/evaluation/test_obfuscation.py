"""The table of what obfuscation costs is printed from what the run before has kept."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

UNSAFE = ["a corpse in a pool of blood", "lines of cocaine on a mirror"]
SAFE = ["a red bicycle by a wall", "two friends playing chess"]


@pytest.fixture
def data(tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROPRIETY_DATA_DIR", str(data_dir))
    rows = [(text, "unsafe") for text in UNSAFE] + [(text, "safe") for text in SAFE]
    lines = [json.dumps({"id": i, "text": text, "label": label}) for i, (text, label) in enumerate(rows)]
    (tmp_path / "one.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def table(*arguments: object) -> list[str]:
    command = [sys.executable, "-m", "evaluation.obfuscation", "--detector", "nearest", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return done.stdout.splitlines()[2:]


def kinds(lines: str) -> list[str]:
    return sorted(json.loads(line)["how"] for line in lines.splitlines())


def test_a_second_run_reads_only_what_the_first_has_not(data: Path) -> None:
    kept = data / "kept.jsonl"
    plain, hidden = table("--data", data, "--set", "one", "--obfuscation", "zero-width", "--output", kept)
    assert plain == "| plain | 1.000 | +0.000 | 1.00 | 0.00 |"
    assert hidden == plain.replace("plain", "zero-width"), "it is undone before it is read"
    before = kept.read_text(encoding="utf-8")
    assert kinds(before) == ["plain"] * 4 + ["zero-width"] * 4
    again, coded = table("--data", data, "--set", "one", "--obfuscation", "base64", "--output", kept)
    assert again == plain
    assert coded.startswith("| base64 |")
    assert kinds(kept.read_text(encoding="utf-8").removeprefix(before)) == ["base64"] * 4


def test_what_another_place_s_policy_made_is_not_gone_on_from(data: Path) -> None:
    kept = data / "kept.jsonl"
    table("--data", data, "--set", "one", "--obfuscation", "base64", "--output", kept)
    with pytest.raises(subprocess.CalledProcessError) as refused:
        table("--data", data, "--set", "one", "--obfuscation", "base64", "--output", kept, "--locale", "ar-SA")
    assert "its lines are by" in " ".join(refused.value.stderr.split())
