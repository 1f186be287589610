"""`propriety moderate` judges one prompt, here or by a service, or a file with bad lines and interruptions."""

import json
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agent.moderator import Moderator
from cli import app
from propriety.verdict import Status, Verdict

pytestmark = pytest.mark.usefixtures("workplace")

WINE, BOMB, TREE = "a woman holding a wine glass", "a diagram of how to build a nail bomb", "a tree on a hill"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["moderate", *arguments])


def batch(*lines: object, options: tuple[str, ...] = ()) -> Result:
    raw = [line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode() for line in lines]
    Path("in.jsonl").write_bytes(b"\n".join(raw))
    return run("--locale", "ar-SA", "--input", "in.jsonl", "--output", "out.jsonl", *options)


def answers() -> dict[str | int, dict[str, object]]:
    lines = [json.loads(line) for line in Path("out.jsonl").read_bytes().splitlines()]
    assert len({repr(line["id"]) for line in lines}) == len(lines)
    return {line["id"]: line for line in lines}


def test_one_prompt_prints_what_is_drawn_instead():
    result = run("--locale", "ar-SA", WINE)
    assert result.exit_code == 0
    assert "REWRITE under ar-SA" in result.output
    assert "alcohol (medium" in result.output


def test_one_prompt_prints_its_verdict_as_json():
    verdict = Verdict.model_validate_json(run("--json", "--locale", "fr-FR", WINE).output)
    assert (verdict.action, verdict.policy.locale) == ("allow", "base")


def test_a_second_start_without_an_llm_imports_neither_its_client_nor_what_prepares_a_first_start():
    run(TREE)
    code = "import sys\nfrom cli import app\ntry: app()\nfinally: print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code, "moderate", "--json", "--detector", "llm", TREE]
    done = subprocess.run(command, capture_output=True, text=True)
    assert Verdict.model_validate_json(done.stdout).status is Status.DEGRADED
    assert {"alembic", "fastapi", "langchain_core", "onnx"}.isdisjoint(done.stderr.split())


@pytest.mark.parametrize("arguments", [("",), ("a\x00b",), ("x" * 9000,), ("--locale", "zz-ZZ", TREE), ()])
def test_a_wrong_argument_or_prompt_ends_with_2(arguments):
    assert run(*arguments).exit_code == 2


def test_a_wrong_policy_ends_with_2_and_its_file_and_line(workplace):
    (workplace.parent / "policies" / "ar-SA.yaml").write_text("locale: ar-SA\nextnds: base\n")
    result = run(TREE)
    assert result.exit_code == 2
    assert "ar-SA.yaml:" in result.stderr


def test_each_line_is_judged_under_its_own_id():
    lines = [
        {"id": "1", "text": WINE, "label": "unsafe"},
        {"id": 1, "text": BOMB},
        {"id": "كأس", "text": WINE, "locale": "en-US"},
    ]
    assert batch(*lines).exit_code == 0
    found = answers()
    assert {key: line["action"] for key, line in found.items()} == {"1": "rewrite", 1: "block", "كأس": "allow"}
    fields = ["id", "action", "severity", "flagged", "score", "violations", "safe_prompt", "status"]
    assert all(list(line) == fields for line in found.values())
    assert found["1"]["violations"][0]["rule_id"] == "alcohol"
    assert 0 <= found["كأس"]["score"] < found["1"]["score"] <= 1


def test_byte_order_mark_carriage_returns_and_blank_lines_are_accepted():
    whole = f'\ufeff{{"id":1,"text":"{TREE}"}}\r\n\r\n  \n{{"id":2,"text":"{TREE}"}}\r\n'
    assert batch(whole.encode()).exit_code == 0
    assert set(answers()) == {1, 2}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{broken", "Invalid JSON"),
        (b"[" * 5000, "Invalid JSON"),
        (b"\xff\xfe{", "is not UTF-8"),
        (b'{"id": 2, "text": "\\ud800"}', "Invalid JSON"),
        (b"[1]", "object"),
        ({"id": 2}, "text: Field required"),
        ({"text": TREE}, "id: Field required"),
        ({"id": True, "text": TREE}, "string or Input should be a valid integer"),
        ({"id": 2, "text": None}, "text: "),
        ({"id": 2, "text": " \n"}, "empty"),
        ({"id": 2, "text": "x" * 9000}, "9000 characters"),
        ({"id": 2, "text": "a\x00b"}, "control characters"),
        ({"id": 2, "text": TREE, "locale": "zz-ZZ"}, "'zz-ZZ'"),
        ({"id": 1, "text": TREE}, "occurs twice"),
    ],
)
def test_a_bad_line_is_reported_with_its_reason_and_the_others_are_judged(line, reason):
    result = batch({"id": 1, "text": TREE}, line, {"id": 3, "text": TREE})
    assert result.exit_code == 1
    assert set(answers()) == {1, 3}
    (complaint,) = [line for line in result.stderr.splitlines() if line.startswith("in.jsonl:")]
    assert complaint.startswith("in.jsonl:2: ")
    assert reason in complaint
    assert result.stderr.endswith("2 judged, 0 judged before, 1 bad\n")


def test_an_interrupted_file_is_finished_and_its_half_written_last_line_dropped():
    lines = [{"id": number, "text": TREE} for number in range(5)]
    batch(*lines)
    whole = Path("out.jsonl").read_bytes().splitlines(keepends=True)
    Path("out.jsonl").write_bytes(b"".join(whole[:2]) + whole[2][:-1])
    result = batch(*lines)
    assert result.exit_code == 0
    assert "3 judged, 2 judged before, 0 bad" in result.stderr
    assert set(answers()) == set(range(5))
    assert Path("out.jsonl").read_bytes().startswith(b"".join(whole[:2]))


@pytest.mark.parametrize("content", ["my notes", "my notes\n", '{"id": 1}\n', "\n", '{"id":1,"text":"x"}\n{"id":'])
def test_a_file_with_other_content_is_left_unchanged(content):
    Path("out.jsonl").write_text(content)
    result = batch({"id": 1, "text": TREE})
    assert result.exit_code == 2
    assert "out.jsonl:1: " in result.stderr
    assert Path("out.jsonl").read_text() == content


@pytest.mark.parametrize(
    "arguments",
    [
        ("--input", "there.jsonl"),
        ("--output", "out.jsonl"),
        ("--input", "missing.jsonl", "--output", "out.jsonl"),
        ("--input", "there.jsonl", "--output", "no/out.jsonl"),
        ("--input", "there.jsonl", "--output", "there.jsonl"),
        ("--input", "there.jsonl", "--output", "link.jsonl"),
        ("--input", "there.jsonl", "--output", "/dev/null"),
        ("--input", "there.jsonl", "--output", "."),
        ("--input", "there.jsonl", "--output", "out.jsonl", "--json"),
        ("--input", "there.jsonl", "--output", "out.jsonl", "--locale", "zz-ZZ"),
        ("--input", "there.jsonl", "--output", "out.jsonl", TREE),
    ],
)
def test_files_and_options_that_exclude_each_other_end_with_2(arguments):
    content = json.dumps({"id": 1, "text": TREE})
    Path("there.jsonl").write_text(content)
    Path("link.jsonl").symlink_to("there.jsonl")
    assert run(*arguments).exit_code == 2
    assert Path("there.jsonl").read_text() == content
    assert not Path("out.jsonl").exists()


@pytest.mark.parametrize(("encoding", "text"), [("cp1252", "ein Fluß"), ("cp1256", "كأس"), ("cp1251", "река")])
def test_a_line_in_an_older_encoding_of_windows_is_refused_with_how_to_fix_it(encoding, text):
    line = json.dumps({"id": 1, "text": text}, ensure_ascii=False)
    result = batch(line.encode(encoding))
    assert result.exit_code == 1
    assert "in.jsonl:1: the line is not UTF-8" in result.stderr
    assert "save it as UTF-8" in result.stderr


def test_lines_that_need_an_llm_that_is_gone_are_not_written_and_end_with_1(caplog):
    result = batch({"id": 1, "text": TREE}, {"id": 2, "text": TREE}, options=("--detector", "llm"))
    assert result.exit_code == 1
    assert answers() == {}
    assert "0 judged, 0 judged before, 0 bad" in result.stderr
    assert "2 lines are degraded" in result.stderr
    assert "--allow-degraded" in result.stderr
    assert caplog.text.count("degraded") == 1


def test_degraded_lines_are_written_and_end_with_0_if_they_are_accepted():
    options = ("--detector", "llm", "--allow-degraded")
    result = batch({"id": 1, "text": TREE}, {"id": 2, "text": TREE}, options=options)
    assert result.exit_code == 0
    assert [line["status"] for line in answers().values()] == ["degraded"] * 2
    assert "2 judged, 0 judged before, 0 bad" in result.stderr
    assert "2 lines are degraded" in result.stderr


def test_a_line_for_which_no_detector_was_available_is_reported_and_tried_again(monkeypatch):
    lines = [{"id": 1, "text": TREE}, {"id": 2, "text": BOMB}]
    moderate = Moderator.moderate

    async def fails_for_the_second(self, messages, locale, detector):
        verdict = await moderate(self, messages, locale, detector)
        return verdict if messages[0].content == TREE else verdict.model_copy(update={"status": Status.ERROR})

    with monkeypatch.context() as patched:
        patched.setattr(Moderator, "moderate", fails_for_the_second)
        result = batch(*lines)
    assert result.exit_code == 1
    assert "in.jsonl:2: no detector was available" in result.stderr
    assert set(answers()) == {1}
    assert batch(*lines).exit_code == 0
    assert set(answers()) == {1, 2}


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_the_same_command_finishes_the_file():
    # Long, and of words that no other line has, so that each takes a while to encode.
    lines = [
        json.dumps({"id": number, "text": " ".join([TREE, *(f"number {number} {i}" for i in range(20))])})
        for number in range(40)
    ]
    Path("in.jsonl").write_text("\n".join(lines))
    command = [sys.executable, "-c", "from cli import app; app()"]
    command += ["moderate", "--input", "in.jsonl", "--output", "out.jsonl"]
    # A process that a shell starts in the background ignores Ctrl-C, and so would its children.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    deadline = time.monotonic() + 60
    while not (Path("out.jsonl").exists() and Path("out.jsonl").stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    output = running.communicate(timeout=60)[1]
    assert running.returncode == 130
    assert "the same command continues" in output
    assert "Traceback" not in output
    done = set(answers())
    assert 0 < len(done) < len(lines)
    assert run("--input", "in.jsonl", "--output", "out.jsonl").exit_code == 0
    assert set(answers()) == set(range(40))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_a_file_in_another_encoding_is_refused_once_with_how_to_fix_it(encoding):
    result = batch(json.dumps({"id": "1", "text": TREE}).encode(encoding))
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert "save it as UTF-8" in line
    assert not Path("out.jsonl").exists()
