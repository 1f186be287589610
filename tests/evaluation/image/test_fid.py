"""FID with a tiny network that returns three numbers per picture."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.image.fid import Fid


class Means(torch.nn.Module):
    """The mean of each colour, as three features."""

    def forward(self, pictures: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        assert return_features
        return pictures.float().mean([2, 3])


def grey(level: int, side: int = 8) -> Image.Image:
    return Image.new("RGB", (side, side), (level, level, level))


@pytest.fixture
def network(tmp_path: Path) -> Path:
    with warnings.catch_warnings():  # newer versions of torch deprecate TorchScript
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(Means()).save(str(tmp_path / "inception.pt"))
    return tmp_path / "inception.pt"


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    folder = tmp_path / "real"
    folder.mkdir()
    for level in (10, 20, 30):
        grey(level, side=8 if level < 20 else 16).save(folder / f"{level}.png")
    return folder


def test_the_distance_is_zero_for_the_reference_and_grows_with_the_difference_of_means(network, reference):
    fid = Fid(network, reference, "cpu")
    assert fid.distance([grey(level) for level in (10, 20, 30)]) == pytest.approx(0, abs=1e-3)
    assert fid.distance([grey(level) for level in (15, 25, 35)]) == pytest.approx(3 * 5**2, rel=1e-3)


def test_a_wider_spread_adds_to_the_distance(network, reference):
    spread, own = np.var([0, 20, 40], ddof=1), np.var([10, 20, 30], ddof=1)
    expected = 3 * (spread + own) - 2 * 3 * np.sqrt(spread * own)
    assert Fid(network, reference, "cpu").distance(map(grey, (0, 20, 40))) == pytest.approx(expected, rel=1e-3)


def test_an_invalid_network_or_a_small_reference_raises_an_error(tmp_path, network):
    with pytest.raises(OSError, match="at least two"):
        Fid(network, tmp_path / "nowhere", "cpu")
    (tmp_path / "text.pt").write_text("not a network")
    with pytest.raises(OSError, match="is not a TorchScript network"):
        Fid(tmp_path / "text.pt", tmp_path, "cpu")
