"""vLLM's command line and environment: the model, the cores, and what stays off."""

import os
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from agent.models.serve import MAX_BOUND_CORES, server_command, server_environment
from agent.settings import EMBEDDED_LLM, Settings

BIND = "VLLM_CPU_OMP_THREADS_BIND"


def on_cores(monkeypatch: pytest.MonkeyPatch, cores: set[int]) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: cores)


@pytest.mark.parametrize(
    ("cores", "expected"),
    [({0}, "0"), ({1, 0}, "0,1"), ({9, 4, 12, 10}, "4,9,10,12"), (set(range(MAX_BOUND_CORES + 1)), None)],
)
def test_vllm_computes_on_all_of_few_cores_and_chooses_among_many(
    monkeypatch: pytest.MonkeyPatch, cores: set[int], expected: str | None
) -> None:
    monkeypatch.delenv(BIND, raising=False)
    on_cores(monkeypatch, cores)
    assert server_environment(Settings()).get(BIND) == expected


def test_a_core_binding_set_by_the_user_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    on_cores(monkeypatch, {0, 1})
    monkeypatch.setenv(BIND, "1")
    assert server_environment(Settings())[BIND] == "1"


def test_the_environment_is_passed_on_and_usage_statistics_stay_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_VARIABLE", "set by the user")
    monkeypatch.setenv("VLLM_NO_USAGE_STATS", "0")
    environment = server_environment(Settings(llm_kv_cache_gib=3))
    assert environment["A_VARIABLE"] == "set by the user"
    assert (environment["VLLM_NO_USAGE_STATS"], environment["VLLM_CPU_KVCACHE_SPACE"]) == ("1", "3")


def test_no_compiler_is_needed_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None)
    assert server_environment(Settings())["TORCH_COMPILE_DISABLE"] == "1"


def test_only_other_models_may_be_fetched_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert server_environment(Settings(llm_model=EMBEDDED_LLM))["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in server_environment(Settings(llm_model="an/other"))


@pytest.mark.parametrize("name", [EMBEDDED_LLM, "Qwen/Qwen2.5-7B-Instruct"])
def test_the_embedded_model_is_served_from_its_folder_and_any_other_by_its_name(tmp_path: Path, name: str) -> None:
    command = server_command(Settings(llm_model=name, models_dir=tmp_path, llm_port=8123))
    options = dict(pairwise(command))
    assert options["--model"] == (str(tmp_path / name) if name == EMBEDDED_LLM else name)
    assert options["--served-model-name"] == name
    assert (options["--host"], options["--port"]) == ("127.0.0.1", "8123")
    assert dict(pairwise(server_command(Settings(), "0.0.0.0")))["--host"] == "0.0.0.0"


def test_weights_are_never_read_from_pickles() -> None:
    assert dict(pairwise(server_command(Settings(llm_model="an/other"))))["--load-format"] == "safetensors"
