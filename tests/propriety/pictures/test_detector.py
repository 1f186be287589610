from PIL import Image

from propriety.drawing import DrawRequest
from propriety.pictures.detector import opennsfw


def test_open_nsfw_finds_nothing_in_a_plain_surface() -> None:
    assert opennsfw()(Image.new("RGB", (64, 64), "green"), DrawRequest(prompt="a lawn")) < 0.2
