"""Conversations whose earlier turns the server keeps, with the official client."""

import httpx
import openai
import pytest

from agent.api.app import create_app
from agent.store.tenants import Scope, Terms


def chat(client, content, conversation=None):
    body = {"conversation_id": conversation} if conversation else {}
    messages = [{"role": "user", "content": content}]
    return client.chat.completions.create(model="propriety", messages=messages, extra_body=body)


def test_a_later_turn_is_judged_together_with_the_earlier_ones(client, moderator):
    chat(client, "a glass of wine", "dinner")
    chat(client, "at night", "dinner")
    assert [(turn.role, turn.content) for turn in moderator.calls[-1][0]] == [
        ("user", "a glass of wine"), ("assistant", "a glass of juice"), ("user", "at night"),
    ]  # fmt: skip
    chat(client, "at night")
    assert len(moderator.calls[-1][0]) == 1


def test_a_conversation_that_the_client_creates_keeps_its_turns(client, moderator):
    made = client.conversations.create(metadata={"k": "v"})
    assert (made.object, made.metadata, made.created_at > 0) == ("conversation", {"k": "v"}, True)
    assert client.conversations.create().id != made.id
    client.responses.create(model="propriety", input="a glass of wine", conversation=made.id)
    chat(client, "at night", made.id)
    assert [turn.content for turn in moderator.calls[-1][0]] == ["a glass of wine", "a glass of juice", "at night"]
    assert client.conversations.delete(made.id).deleted


def test_a_conversation_without_turns_can_be_deleted(client):
    made = client.conversations.create()
    assert client.conversations.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.conversations.delete("never-made")


def test_a_conversation_cannot_be_created_with_turns(client):
    with pytest.raises(openai.BadRequestError, match="first turns with the first request") as refused:
        client.conversations.create(items=[{"role": "user", "content": "a tree"}])
    assert refused.value.param == "items"


def test_image_requests_and_refusals_are_kept_as_turns(client, moderator):
    with pytest.raises(openai.BadRequestError):
        client.images.generate(prompt="a gun", extra_body={"conversation_id": "two"})
    client.images.generate(prompt="a tree", extra_body={"conversation_id": "two"})
    assert [turn.content for turn in moderator.calls[-1][0]] == ["a gun", "nicht erlaubt", "a tree"]


def test_an_invalid_prompt_leaves_no_turn(client, moderator):
    with pytest.raises(openai.BadRequestError):
        chat(client, " ", "three")
    chat(client, "a tree", "three")
    assert len(moderator.calls[-1][0]) == 1


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 129, "é"])
def test_an_invalid_conversation_id_is_refused(client, name):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(
            model="propriety", messages=[{"role": "user", "content": "a"}], extra_body={"conversation_id": name}
        )
    assert refused.value.param == "conversation_id"


def test_a_conversation_is_deleted_on_request(client, moderator, url):
    chat(client, "a tree", "four")
    assert httpx.delete(f"{url}/v1/conversations/four").json()["deleted"] is True
    assert httpx.delete(f"{url}/v1/conversations/four").status_code == 404
    chat(client, "at night", "four")
    assert len(moderator.calls[-1][0]) == 1


def test_tenants_that_use_the_same_conversation_id_have_separate_conversations(moderator, serve, tmp_path):
    keyed_moderator = moderator.with_settings(
        moderator.settings.model_copy(update={"database_url": f"sqlite:///{tmp_path}/keys.db"})
    )
    app = create_app(keyed_moderator)
    keys = [app.state.service.store.tenants.create(name, Terms(scopes=[Scope.MODERATE])) for name in ("acme", "apex")]
    for url in serve(app):
        for key, content in zip([*keys, keys[0]], ("a red apple", "a green pear", "at night"), strict=True):
            with openai.OpenAI(base_url=f"{url}/v1", api_key=key) as client:
                chat(client, content, "shared")
        assert [turn.content for turn in keyed_moderator.calls[-1][0]] == ["a red apple", "a red apple", "at night"]
        other = {"Authorization": f"Bearer {keys[1]}"}
        assert httpx.delete(f"{url}/v1/conversations/shared", headers=other).status_code == 200
        with openai.OpenAI(base_url=f"{url}/v1", api_key=keys[0]) as client:
            chat(client, "by day", "shared")
        assert len(keyed_moderator.calls[-1][0]) == 5
