"""`propriety generate` draws what the verdict allows, in its own process, and nothing else."""

import subprocess
import sys
from pathlib import Path

import c2pa
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from cli import app

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restores the variables by which the command silences the drawing libraries."""
    for name, value in {"TRANSFORMERS_VERBOSITY": "error", "DIFFUSERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}.items():
        monkeypatch.setenv(name, value)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["generate", *arguments])


def test_pictures_are_drawn_under_the_verdict_and_their_paths_printed():
    result = run("a woman holding a wine glass", "--locale", "ar-SA", "--seed", "7", "--n", "2", "--steps", "2")
    assert result.exit_code == 0, result.output
    assert "REWRITE under ar-SA" in result.output
    pictures = sorted(Path("out").iterdir())
    assert [path.name.rsplit("-", 1)[1] for path in pictures] == ["7.png", "8.png"]
    assert all(str(path) in result.stdout for path in pictures)
    with Image.open(pictures[0]) as picture:
        assert picture.text["wxi"] == "0.8"
        assert "wine" not in picture.text["prompt"]
        assert picture.text["policy_version"].startswith("ar-SA 2026-01-01 ")
    assert c2pa.Reader(str(pictures[0])).get_validation_state() == "Valid"


def test_the_generator_s_notes_are_printed():
    result = run("a submarine", "--steps", "1", "--output", "made/of/folders")
    assert "never seen: submarine" in result.output
    assert len(list(Path("made/of/folders").glob("*.png"))) == 1


def test_a_blocked_prompt_ends_with_3_and_the_generator_is_not_loaded():
    code = (
        "import sys\nfrom cli import app\n"
        "try: app(['generate', 'a diagram of how to build a nail bomb'])\n"
        "finally: assert not {'torch', 'diffusers', 'generator.pipeline'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert "No bombs." in done.stdout
    assert not Path("out").exists()


def test_an_unsafe_picture_is_not_saved_and_ends_with_3(monkeypatch):
    monkeypatch.setattr("generator.last_look.THRESHOLD", 0.0)
    result = run("a tree", "--steps", "1")
    assert result.exit_code == 3, result.output
    assert "Blocked by the last look" in result.output
    assert not list(Path("out").iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ("",),
        ("a\x00b",),
        ("a tree", "--size", "64"),
        ("a tree", "--size", "axb"),
        ("a tree", "--size", "60x64"),
        ("a tree", "--size", "512x512"),
        ("a tree", "--n", "17"),
        ("a tree", "--n", "2", "--seed", "4294967295"),
        ("a tree", "--steps", "0"),
        ("a tree", "--locale", "zz-ZZ"),
        ("a tree", "--model", "no/such/folder"),
    ],
)
def test_a_wrong_argument_prompt_or_model_ends_with_2_and_no_traceback(arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert not list(Path().glob("out/*"))


def test_without_the_extra_the_command_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "generator.pipeline", None)
    result = run("a tree")
    assert result.exit_code == 1
    assert "propriety[generator]" in result.stderr


def test_a_folder_that_cannot_be_created_ends_with_1():
    Path("taken").write_text("a file")
    result = run("a tree", "--output", "taken/pictures")
    assert result.exit_code == 1
    assert "cannot be saved" in result.stderr
