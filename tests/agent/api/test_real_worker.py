"""The API in front of the real drawing worker and the demo model: both sides of the contract together."""

import base64
import io
from collections.abc import Callable, Iterator

import httpx
import openai
import pytest
import torch
from PIL import Image

from agent.api.app import create_app
from generator.app import create_app as create_worker
from generator.worker import Worker

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def drawing_client(
    serve: Callable[[object], Iterator[str]], word_moderator: Callable[[str], object]
) -> Iterator[openai.OpenAI]:
    worker = Worker("demo")
    worker.loading.result()
    # The demo model gains nothing from more threads, and loses much on a busy machine.
    worker.thread.submit(torch.set_num_threads, 1).result()
    for worker_url in serve(create_worker(worker)):
        for url in serve(create_app(word_moderator(worker_url))):
            with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
                yield client
    worker.thread.shutdown()


def test_a_rewritten_prompt_is_drawn_and_the_same_seed_draws_it_again(drawing_client):
    def draw(seed: int, n: int) -> openai.types.ImagesResponse:
        prompt = "a woman holding a wine glass on a beach"
        return drawing_client.images.generate(prompt=prompt, n=n, size="64x64", extra_body={"seed": seed})

    two = draw(7, 2)
    assert [Image.open(io.BytesIO(base64.b64decode(picture.b64_json))).size for picture in two.data] == [(64, 64)] * 2
    assert two.data[0].revised_prompt == two.verdict["safe_prompt"]
    assert [(one["seed"], one["wxi"], one["fused_steps"]) for one in two.drawing] == [(7, 0.8, 5), (8, 0.8, 5)]
    again = draw(two.drawing[1]["seed"], 1)
    first, second = (Image.open(io.BytesIO(base64.b64decode(one.b64_json))) for one in (two.data[1], again.data[0]))
    assert max(abs(a - b) for a, b in zip(first.tobytes(), second.tobytes(), strict=True)) <= 1


def test_words_that_the_model_does_not_know_are_reported(drawing_client):
    (one,) = drawing_client.images.generate(prompt="an elephant in a park", extra_body={"seed": 1}).drawing
    assert one["notes"] == ["The demo model has never seen: elephant."]


@pytest.mark.parametrize("prompt", ["a " * 3000, "شجرة في حديقة", "🌳", "a\u2028tree\ttoo\r\n", "\u202ea tree"])
def test_any_text_is_drawn(drawing_client, prompt):
    assert drawing_client.images.generate(prompt=prompt, extra_body={"seed": 1}).data


def test_a_size_that_the_model_cannot_draw_returns_400_and_names_the_field(drawing_client):
    with pytest.raises(openai.BadRequestError, match="own size is 64x64") as refused:
        drawing_client.images.generate(prompt="a tree", size="1536x1024")
    assert (refused.value.code, refused.value.param) == ("generator_refused", "size")


def test_a_program_written_for_openai_gets_a_picture_of_the_model_s_own_size(drawing_client):
    answer = drawing_client.images.generate(
        model="gpt-image-1", prompt="a tree", size="1024x1024", response_format="url", extra_body={"seed": 1}
    )
    assert (answer.drawing[0]["width"], answer.drawing[0]["height"]) == (64, 64)
    assert "cannot draw 1024x1024" in answer.drawing[0]["notes"][0]
    assert Image.open(io.BytesIO(httpx.get(answer.data[0].url).content)).size == (64, 64)


def test_a_worker_without_a_model_is_unavailable_and_the_log_says_why(serve, word_moderator, tmp_path, caplog):
    worker = Worker(str(tmp_path / "none"))
    assert worker.loading.exception()
    for worker_url in serve(create_worker(worker)):
        for url in serve(create_app(word_moderator(worker_url))):
            with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
                with pytest.raises(openai.InternalServerError, match="is not ready") as failed:
                    client.images.generate(prompt="a tree")
                assert (failed.value.status_code, failed.value.code) == (503, "generator_unavailable")
                assert str(tmp_path) not in failed.value.message
                assert "neither a folder" in caplog.text
    worker.thread.shutdown()
