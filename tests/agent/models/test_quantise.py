import torch

from agent.models.quantise import quantise


def test_quantised_weights_are_off_by_at_most_half_a_step() -> None:
    weight = torch.randn(6, 40, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 2, 6)[:, None]
    weight[0] = 0
    integers, scale = quantise(weight)
    assert (integers.dtype, tuple(scale.shape)) == (torch.int8, (6, 1))
    assert (weight - integers * scale).abs().le(0.5001 * scale).all()
    assert integers[1:].abs().amax(dim=1).eq(127).all()
