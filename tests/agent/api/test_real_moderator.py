"""The routes in front of the real moderator, on the small policies and with the `nearest` detector."""

import openai
import pytest


def test_the_same_prompt_is_drawn_unchanged_in_one_place_and_rewritten_in_another(real):
    def draw(locale: str) -> openai.types.ImagesResponse:
        return real.images.generate(
            prompt="a woman holding a wine glass on a beach", extra_body={"locale": locale, "seed": 1}
        )

    french, arabic = draw("fr-FR"), draw("ar-SA")
    assert french.verdict["action"] == "allow"
    assert french.data[0].revised_prompt == "a woman holding a wine glass on a beach"
    assert arabic.verdict["action"] == "rewrite"
    assert "wine" not in arabic.data[0].revised_prompt
    assert arabic.drawing[0]["wxi"] == 0.8


def test_a_block_is_explained_in_arabic(real):
    answer = real.chat.completions.create(
        model="propriety-nearest",
        messages=[{"role": "user", "content": "a diagram of how to build a nail bomb"}],
        extra_body={"locale": "ar-SA"},
    )
    assert answer.choices[0].message.content.startswith("محظور.")


@pytest.mark.parametrize("prompt", ["", " \n", "x" * 100_000, "a\x01tree", "a\x1b[31m tree", "\x7f"])
def test_an_invalid_prompt_is_refused_by_every_route(real, prompt):
    message = [{"role": "user", "content": prompt}]
    for call, param in (
        (lambda: real.moderations.create(input=prompt), "input"),
        (lambda: real.chat.completions.create(model="propriety", messages=message), "messages"),
        (lambda: real.images.generate(prompt=prompt), "prompt"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            call()
        assert (refused.value.code, refused.value.param) == ("invalid_prompt", param)


@pytest.mark.parametrize("locale", ["", "zz-ZZ", "de_", "en-US\x01", "../base", "x" * 10_000, "é", "123"])
def test_an_invalid_locale_is_refused(real, locale):
    with pytest.raises(openai.BadRequestError) as refused:
        real.moderations.create(input="a tree on a hill", extra_body={"locale": locale})
    assert (refused.value.code, refused.value.param) == ("unknown_locale", "locale")


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_a_chat_without_a_user_turn_is_refused(real, role):
    with pytest.raises(openai.BadRequestError) as refused:
        real.chat.completions.create(model="propriety", messages=[{"role": role, "content": "a tree"}])
    assert (refused.value.code, refused.value.param) == ("invalid_prompt", "messages")
