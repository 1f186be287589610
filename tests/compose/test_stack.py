"""Starts docker-compose.yml, sends requests, kills each container and cleans up; run by `tests/compose/run`."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from rich.console import Console

from agent.settings import Settings
from agent.stack.sample import LOCALES, show_demo

pytestmark = pytest.mark.compose

ROOT = Path(__file__).parents[2]
UP_TIMEOUT_S, RECOVERY_TIMEOUT_S, SCRAPE_TIMEOUT_S = 2400, 600, 120
SERVICES = ("agent", "llm", "generator", "db")
# What a caller gets while that container is down.
OUTAGES = {
    "llm": "drawn, degraded",
    "generator": "503 generator_unavailable",
    "db": "503 database_unavailable",
    "agent": "no response",
}

numbers = count()


class Stack(NamedTuple):
    folder: Path
    environment: dict[str, str]

    def compose(self, *arguments: str) -> str:
        run = subprocess.run(
            ["docker", "compose", *arguments], cwd=self.folder, env=self.environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert run.returncode == 0, f"docker compose {' '.join(arguments)}:\n{(run.stdout + run.stderr)[-5000:]}"
        return run.stdout

    def inspect(self, service: str) -> dict:
        container = self.compose("ps", "--all", "--quiet", service).strip()
        inspected = subprocess.run(["docker", "inspect", container], capture_output=True, text=True, check=True)
        return json.loads(inspected.stdout)[0]

    def url(self, port: str) -> str:
        return f"http://127.0.0.1:{self.environment[port]}"

    def new_key(self, *arguments: str) -> str:
        return self.compose("exec", "-T", "agent", "propriety", "keys", "create", *arguments).strip()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All services, healthy, from a copy of this checkout, to leave its own secrets and volumes untouched."""
    folder = tmp_path_factory.mktemp("compose")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    subprocess.run(["make", "secrets"], cwd=folder, check=True)
    ports = {name: str(port) for name, port in zip(("PROPRIETY_PORT", "PROMETHEUS_PORT"), free_ports(2), strict=True)}
    stack = Stack(folder, {**os.environ, **ports, "COMPOSE_PROJECT_NAME": f"propriety-test-{os.getpid()}"})
    try:
        begin = time.monotonic()
        stack.compose("build")
        built = time.monotonic()
        stack.compose("up", "--detach", "--wait", "--wait-timeout", str(UP_TIMEOUT_S))
        print(f"\nbuilt in {built - begin:.0f} s, healthy {time.monotonic() - built:.0f} s later")
        yield stack
    finally:
        stack.compose("--profile", "observability", "down", "--volumes", "--timeout", "20")


@pytest.fixture(scope="module")
def key(stack: Stack) -> str:
    return stack.new_key("platform")


def free_ports(number: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def order(stack: Stack, key: str, drawn: list[str]) -> str:
    """The outcome of a picture request for Saudi Arabia with a new prompt; the verdict's id is appended to `drawn`."""
    body = {"prompt": f"a woman holding a wine glass on a beach, number {next(numbers)}", "locale": "ar-SA", "seed": 7}
    headers = {"Authorization": f"Bearer {key}"}
    url = f"{stack.url('PROPRIETY_PORT')}/v1/images/generations"
    try:
        answer = httpx.post(url, json=body, headers=headers, timeout=120, trust_env=False)
    except httpx.TransportError:
        return "no response"
    if answer.status_code != 200:
        return f"{answer.status_code} {answer.json()['error']['code']}"
    picture = answer.json()
    assert picture["verdict"]["action"] == "rewrite"
    assert not re.search("wine|alcohol", picture["data"][0]["revised_prompt"])
    drawn.append(picture["verdict"]["id"])
    return f"drawn, {picture['verdict']['status']}"


def test_requests_without_a_key_are_refused(stack: Stack) -> None:
    answer = httpx.post(f"{stack.url('PROPRIETY_PORT')}/v1/moderations", json={"input": "a tree"}, trust_env=False)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize("service", SERVICES)
def test_containers_run_without_root_with_read_only_files_and_limited_memory(stack: Stack, service: str) -> None:
    host = stack.inspect(service)["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["RestartPolicy"]["Name"]) == (True, ["ALL"], "unless-stopped")
    assert 0 < host["Memory"] < 10 * 2**30
    assert stack.compose("exec", "-T", service, "id", "-u").strip() != "0"


def test_only_the_api_is_reachable_and_only_from_this_machine(stack: Stack) -> None:
    bound = {name: stack.inspect(name)["HostConfig"]["PortBindings"] or {} for name in SERVICES}
    addresses = {name: [each["HostIp"] for port in ports.values() for each in port] for name, ports in bound.items()}
    assert addresses == {"agent": ["127.0.0.1"], "llm": [], "generator": [], "db": []}


def test_the_sample_conversation_is_judged_and_drawn(stack: Stack, key: str, tmp_path: Path) -> None:
    assert order(stack, key, []) == "drawn, ok"
    with (tmp_path / "output").open("w+") as output:
        port = int(stack.environment["PROPRIETY_PORT"])
        show_demo(Settings(host="127.0.0.1", port=port, api_key=key, output_dir=tmp_path), Console(file=output))
        output.seek(0)
        lines = output.read()
    assert re.search(r"fr-FR: .* → allow .*\n +drawn: .*wine", lines), lines
    assert re.search(r"ar-SA: .* → rewrite .*alcohol.*\n +drawn: (?!.*wine)", lines), lines
    for locale in LOCALES:
        assert (tmp_path / f"demo-{locale}.png").read_bytes().startswith(b"\x89PNG")
    assert [stack.inspect(service)["RestartCount"] for service in SERVICES] == [0] * len(SERVICES)


def test_prometheus_has_data_for_every_panel_and_no_alert_fires(stack: Stack, key: str) -> None:
    (stack.folder / "secrets" / "metrics_key").write_text(stack.new_key("prometheus", "--scope", "metrics"))
    stack.compose("--profile", "observability", "up", "--detach", "--wait", "prometheus")
    dashboard = json.loads((ROOT / "deploy/observability/grafana/dashboards/propriety.json").read_text())
    missing = {target["expr"] for panel in dashboard["panels"] for target in panel["targets"]}
    with httpx.Client(base_url=stack.url("PROMETHEUS_PORT"), trust_env=False) as prometheus:

        def has_data(expression: str) -> bool:
            query = {"query": expression.replace("$__rate_interval", "1m")}
            answer = prometheus.get("/api/v1/query", params=query).json()
            assert answer["status"] == "success", (expression, answer)
            return bool(answer["data"]["result"])

        deadline = time.monotonic() + SCRAPE_TIMEOUT_S
        while missing := {expression for expression in missing if not has_data(expression)}:
            assert time.monotonic() < deadline, missing
            for prompt in ("a tree", "a tree", ""):  # a cache hit, and a refusal
                body = {"input": prompt, "locale": "fr-FR"}
                headers = {"Authorization": f"Bearer {key}"}
                url = f"{stack.url('PROPRIETY_PORT')}/v1/moderations"
                httpx.post(url, json=body, headers=headers, timeout=120, trust_env=False)
            order(stack, key, [])
            time.sleep(5)
        (group,) = prometheus.get("/api/v1/rules").json()["data"]["groups"]
        assert {rule["name"]: rule["health"] for rule in group["rules"]} == dict.fromkeys(
            (rule["name"] for rule in group["rules"]), "ok"
        )
        assert [rule["name"] for rule in group["rules"] if rule["state"] == "firing"] == []


def test_the_alerts_fire_when_they_should(stack: Stack) -> None:
    mounted = f"{stack.folder / 'tests' / 'compose'}:/tests:ro"
    stack.compose(
        "--profile", "observability", "run", "--rm", "--no-deps", "-T", "--volume", mounted,
        "--entrypoint", "promtool", "prometheus", "test", "rules", "/tests/alerts.yml",
    )  # fmt: skip


@pytest.mark.parametrize("service", OUTAGES)
def test_a_killed_container_recovers_and_nothing_is_let_through_or_lost(stack: Stack, key: str, service: str) -> None:
    drawn: list[str] = []
    assert order(stack, key, drawn) == "drawn, ok"
    restarts = stack.inspect(service)["RestartCount"]
    begin = time.monotonic()
    stack.compose("exec", "-T", service, "sh", "-c", "kill -9 -1")  # all but the init process, which then exits
    outcomes = Counter[str]()
    while (outcome := order(stack, key, drawn)) != "drawn, ok" or stack.inspect(service)["RestartCount"] == restarts:
        outcomes[outcome] += 1
        assert time.monotonic() < begin + RECOVERY_TIMEOUT_S, outcomes
        time.sleep(0.2)
    recovered = time.monotonic() - begin
    stack.compose("up", "--detach", "--wait", "--wait-timeout", str(RECOVERY_TIMEOUT_S))
    healthy = time.monotonic() - begin
    print(f"\n{service}: recovered after {recovered:.1f} s, healthy after {healthy:.1f} s; meanwhile {dict(outcomes)}")
    # The database can recover before the next write.
    assert outcomes[OUTAGES[service]] or (service == "db" and not outcomes), outcomes
    with httpx.Client(base_url=stack.url("PROPRIETY_PORT"), headers={"Authorization": f"Bearer {key}"}) as client:
        assert {client.get(f"/v1/verdicts/{name}").status_code for name in drawn} == {200}
