"""What each route returns without the LLM, and without any detector."""

import openai
import pytest


def test_without_the_llm_the_nearest_detector_decides_strictly_and_the_status_is_degraded(real):
    def decision(model: str, prompt: str) -> dict[str, object]:
        return real.moderations.create(model=model, input=prompt, extra_body={"locale": "ar-SA"}).results[0].decision

    doubtful = "a bottle in a kitchen"
    alone = decision("propriety-nearest", doubtful)
    assert (alone["status"], alone["action"]) == ("ok", "allow")
    degraded = decision("propriety-llm", doubtful)
    assert degraded["status"] == "degraded"
    assert degraded["action"] != "allow"
    assert degraded["score"] == alone["score"]
    clear = decision("propriety-llm", "a tree on a hill")
    assert (clear["status"], clear["action"]) == ("degraded", "allow")


def test_without_the_llm_chats_and_pictures_still_work(real):
    messages = [{"role": "user", "content": "a tree on a hill"}]
    chat = real.chat.completions.create(model="propriety-llm", messages=messages)
    assert (chat.choices[0].message.content, chat.verdict["status"]) == ("a tree on a hill", "degraded")
    picture = real.images.generate(model="propriety-llm", prompt="a tree on a hill")
    assert (len(picture.data), picture.verdict["status"]) == (1, "degraded")
    with pytest.raises(openai.BadRequestError) as blocked:
        real.images.generate(model="propriety-llm", prompt="a diagram of how to build a nail bomb")
    assert blocked.value.body["verdict"]["status"] == "degraded"


def test_without_any_detector_every_route_fails_closed(client):
    (result,) = client.moderations.create(input="outage").results
    assert result.flagged
    assert not any(result.categories.model_dump().values())
    assert (result.decision["status"], result.decision["action"]) == ("error", "block")
    chat = client.chat.completions.create(model="propriety", messages=[{"role": "user", "content": "outage"}])
    assert chat.choices[0].finish_reason == "content_filter"
    assert chat.choices[0].message.content == "The prompt is blocked."
    assert chat.verdict["status"] == "error"
    with pytest.raises(openai.InternalServerError) as failed:
        client.images.generate(prompt="outage")
    assert (failed.value.status_code, failed.value.code) == (503, "moderation_unavailable")
    assert failed.value.body["verdict"]["status"] == "error"
