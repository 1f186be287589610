import base64

import openai
import pytest

from agent.settings import Settings


def test_a_rewritten_prompt_is_drawn_with_the_verdict_s_parameters(client):
    answer = client.images.generate(
        model="propriety", prompt="a glass of wine", n=2, size="64x128", extra_body={"seed": 7, "locale": "ar-SA"}
    )
    assert [base64.b64decode(picture.b64_json) for picture in answer.data] == [b"7-0", b"7-1"]
    assert answer.data[0].revised_prompt == "a glass of juice"
    assert answer.verdict["locale"] == "ar-SA"
    sent = {"prompt": "a glass of wine", "safe_prompt": "a glass of juice", "wxi": 0.8, "tau_gc": 0.2, "seed": 7}
    assert answer.drawing.items() >= (sent | {"width": 64, "height": 128, "n": 2}).items()


def test_without_a_seed_one_is_drawn_and_told(client):
    answer = client.images.generate(prompt="a tree")
    assert answer.drawing["seed"] >= 0
    assert "width" not in answer.drawing


def test_a_blocked_prompt_gets_400_with_the_verdict(client):
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.generate(prompt="a gun")
    assert refused.value.code == "content_policy_violation"
    assert refused.value.body["verdict"]["action"] == "block"
    assert refused.value.body["message"] == "nicht erlaubt"


def test_a_failure_to_judge_is_no_fault_of_the_prompt(client):
    with pytest.raises(openai.InternalServerError) as failed:
        client.images.generate(prompt="outage")
    assert (failed.value.status_code, failed.value.code) == (503, "moderation_unavailable")


def test_what_the_worker_refuses_is_told_and_what_it_fails_at_is_503(client):
    with pytest.raises(openai.BadRequestError, match="too large for this model"):
        client.images.generate(prompt="a tree", size="2048x64")
    with pytest.raises(openai.InternalServerError) as failed:
        client.images.generate(prompt="a smudge")
    assert (failed.value.status_code, failed.value.code) == (503, "generator_failed")


def test_another_server_in_the_worker_s_place_is_503(client):
    with pytest.raises(openai.InternalServerError, match="PROPRIETY_GENERATOR_URL"):
        client.images.generate(prompt="a stranger")


def test_an_absent_worker_is_503(client, moderator, monkeypatch):
    monkeypatch.setattr(moderator, "settings", Settings(generator_url="http://127.0.0.1:9"))
    with pytest.raises(openai.InternalServerError) as failed:
        client.images.generate(prompt="a tree")
    assert (failed.value.status_code, failed.value.code) == (503, "generator_unavailable")
