from PIL import Image

from generator.detector import opennsfw
from generator.schema import DrawRequest


def test_open_nsfw_finds_nothing_in_a_plain_surface() -> None:
    assert opennsfw()(Image.new("RGB", (64, 64), "green"), DrawRequest(prompt="a lawn")) < 0.2
