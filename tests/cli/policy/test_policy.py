"""`propriety policy` shows what holds."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from agent.settings import Settings
from cli import app

BASE = """\
locale: base
extends: null
title: Everywhere
version: 2026-01-01
detector: nearest
severities:
  low: {action: rewrite, wxi: 0.5, tau_gc: 0.3}
  medium: {action: rewrite, wxi: 0.75, tau_gc: 0.2}
  high: {action: rewrite, wxi: 0.95, tau_gc: 0.1}
  critical: {action: block}
message:
  rewrite: {en: Changed.}
  block: {en: Blocked.}
rules:
  - id: a.rule
    category: hate
    severity: high
    definition: What it forbids.
    message: {en: No.}
    sources: [a law]
"""
CHILD = """\
locale: de-DE
extends: base
title: Deutschland
version: 2026-01-02
rules:
  - {id: a.rule, severity: low}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE, encoding="utf-8")
    (tmp_path / "de-DE.yaml").write_text(CHILD, encoding="utf-8")
    shutil.copytree(Settings().policies_dir / "concepts", tmp_path / "concepts")
    return tmp_path


def test_list_names_every_policy(folder: Path) -> None:
    result = CliRunner().invoke(app, ["policy", "list", "--policies", str(folder)])
    assert result.exit_code == 0
    assert "base" in result.output
    assert "de-DE" in result.output


def test_show_prints_the_resolved_policy_as_yaml(folder: Path) -> None:
    result = CliRunner().invoke(app, ["policy", "show", "de-DE", "--policies", str(folder)])
    rule = yaml.safe_load(result.output)["rules"][0]
    assert (rule["severity"], rule["definition"]) == ("low", "What it forbids.")


def test_show_refuses_a_malformed_locale(folder: Path) -> None:
    result = CliRunner().invoke(app, ["policy", "show", "../base", "--policies", str(folder)])
    assert result.exit_code == 2


def test_schema_is_json_that_refuses_unknown_keys() -> None:
    result = CliRunner().invoke(app, ["policy", "schema"])
    assert json.loads(result.output)["additionalProperties"] is False
