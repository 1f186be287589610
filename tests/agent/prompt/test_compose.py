"""A chat becomes one prompt: the last user turn with the turns that it depends on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.policy.files import load_policies
from agent.prompt.compose import BadPromptError, compose, composed, is_plain
from agent.settings import Settings
from propriety.verdict import ChatMessage

POLICIES = load_policies(Settings().policies_dir)
REFUSED = "I'm sorry, I can't draw that."
DRAWN = "Here is your picture."
MESSAGES = st.builds(
    ChatMessage, role=st.sampled_from(["system", "developer", "user", "assistant"]), content=st.text(max_size=40)
)


def chat(*contents: str) -> list[ChatMessage]:
    """A chat of alternating turns, the user's first."""
    return [ChatMessage(role="assistant" if i % 2 else "user", content=text) for i, text in enumerate(contents)]


@pytest.mark.parametrize(
    "follow_up",
    [
        "now make it bloodier",
        "let her hold a wine glass",
        "same but at night",
        "bloodier",
        "Add a knife.",
        "now a wine glass in her hand",
        "Draw her with a sword",
        "she holds a bottle",
        "at night",
        "more blood",
        "cover him in blood",
        "turn the sky red",
        "make the background darker",
        "can you make it darker?",
        "what about with a gun",
        "теперь добавь нож",
        "现在加上血",
    ],
)
def test_a_follow_up_is_read_with_the_request_it_depends_on(follow_up: str) -> None:
    assert compose(chat("A woman in a garden.", DRAWN, follow_up)) == f"A woman in a garden. {follow_up}"


@pytest.mark.parametrize(
    "request_",
    [
        "a red car by the sea",
        "Now draw a cat on a roof",
        "Photo of a mountain lake",
        "I want a picture of a lighthouse",
        "Make a picture of a harbour",
        "give me a red balloon",
        "Still life with apples",
        "colour photo of a cat",
        "a woman and her dog",
        "In a dark forest, wolves howl under a full moon, oil painting",
        "snowy mountains, sunrise, watercolour",
        "красный автомобиль на берегу моря",
        "一只红色的猫坐在屋顶上",
    ],
)
def test_a_complete_request_replaces_earlier_turns_and_refusals(request_: str) -> None:
    assert compose(chat("a bloody battle", REFUSED, request_)) == request_


def test_a_prompt_spread_over_several_turns_is_composed_whole() -> None:
    composed = compose(
        chat("a man sleeping", DRAWN, "add a knife", DRAWN, "put it in his chest", DRAWN, "now bloodier")
    )
    assert composed == "a man sleeping. add a knife. put it in his chest. now bloodier"


def test_a_follow_up_to_a_refused_request_is_judged_with_it() -> None:
    assert compose(chat("a bloody battle", REFUSED, "make it darker")) == "a bloody battle. make it darker"


def test_a_refused_follow_up_is_left_out_if_the_user_continues_without_it() -> None:
    assert compose(chat("a knight", DRAWN, "cover him in blood", REFUSED, "add a castle")) == "a knight. add a castle"


@pytest.mark.parametrize("locale", [name for name, policy in POLICIES.items() if not policy.audience])
def test_our_own_message_in_any_language_is_a_refusal(locale: str) -> None:
    refusal = POLICIES[locale].say(POLICIES[locale].message.block)
    messages = chat("a knight", DRAWN, "cover him in blood", f"{refusal} Here is why.", "add a castle")
    assert compose(messages, refusal) == "a knight. add a castle"


def test_a_refused_follow_up_is_kept_if_the_user_insists_on_it() -> None:
    composed = compose(chat("a knight", DRAWN, "cover him in blood", REFUSED, "do it anyway"))
    assert composed == "a knight. cover him in blood. do it anyway"


def test_system_and_assistant_turns_are_never_drawn() -> None:
    messages = [ChatMessage(role="system", content="Draw a gun."), *chat("a cat", "Here is a dog."), *chat("add a hat")]
    assert compose(messages) == "a cat. add a hat"


def test_a_chat_of_one_user_turn_is_that_turn() -> None:
    assert compose(chat("  now make it bloodier ")) == "now make it bloodier"


@pytest.mark.parametrize("messages", [[], chat("  "), [ChatMessage(role="assistant", content="Hello")]])
def test_a_chat_without_user_text_raises_an_error_with_advice(messages: list[ChatMessage]) -> None:
    with pytest.raises(ValueError, match="role 'user'"):
        compose(messages)


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (chat("a cat" * 9), "45 characters; the limit is 40"),
        (chat("a cat on a roof", DRAWN, "add a very large moon", DRAWN, "add a dog"), "turns make a prompt of"),
        (chat("  "), "say what to draw"),
        (chat("a \x00 cat"), "control characters"),
        (chat("a cat \ud83d"), "lone surrogates"),
    ],
)
def test_a_prompt_that_is_empty_too_long_or_not_plain_text_is_refused(messages: list[ChatMessage], reason: str) -> None:
    with pytest.raises(BadPromptError, match=reason):
        composed(messages, 40)


def test_plain_text_may_have_tabs_and_line_breaks() -> None:
    assert is_plain("a cat\tand\r\na dog 🐈")
    assert not is_plain("a cat\x1b")


@pytest.mark.parametrize("space", ["\x85", "\v", "\f", "\u2028", "\u2029", "\xa0", "\u3000"])
def test_white_space_of_any_kind_is_no_control_character(space: str) -> None:
    assert composed(chat(f"a cat{space}in a hat"), 40).split() == ["a", "cat", "in", "a", "hat"]


@given(st.lists(MESSAGES, max_size=6), st.text(min_size=1).filter(str.strip))
def test_composing_is_deterministic_and_ends_with_the_last_user_turn(messages: list[ChatMessage], last: str) -> None:
    whole = [*messages, ChatMessage(role="user", content=last)]
    assert compose(whole) == compose(whole)
    assert compose(whole).endswith(last.strip())
