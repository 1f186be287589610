"""Alerts and dashboard use metrics that the agent exports."""

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY

import agent.metrics

FOLDER = Path(__file__).parents[2] / "deploy" / "observability"
SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "gauge": [""]}


def exported() -> dict[str, set[str]]:
    """The names of the samples, and their labels."""
    metrics = {family.name: family.type for family in REGISTRY.collect() if family.name.startswith("propriety_")}
    declared = [each for each in vars(agent.metrics).values() if hasattr(each, "_labelnames")]
    labels = {metric._name: set(metric._labelnames) for metric in declared}
    return {
        name + suffix: labels[name] | ({"le"} if suffix == "_bucket" else set())
        for name, kind in metrics.items()
        for suffix in SUFFIXES[kind]
    }


def expressions() -> list[str]:
    (group,) = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    dashboard = json.loads((FOLDER / "grafana" / "dashboards" / "propriety.json").read_text())
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    own = [each for each in [rule["expr"] for rule in group["rules"]] + panels if "propriety_" in each]
    assert len(own) > 20
    return own


@pytest.mark.parametrize("expression", expressions())
def test_alerts_and_panels_use_exported_metrics_and_labels(expression: str) -> None:
    known = exported()
    for name, selector in re.findall(r"(propriety_\w+)(?:\{([^}]*)\})?", expression):
        grouped = {label for labels in re.findall(r"by \(([^)]*)\)", expression) for label in labels.split(", ")}
        assert name in known
        assert {*re.findall(r"(\w+)(?:=~|!=|!~|=)", selector), *grouped} <= known[name] | {"job"}
