import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from causalseg.models.mcdrl.regions import gather, region_scores, scatter, select

sizes = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 6), st.integers(1, 6))


def test_scores_are_cosines_position_by_position():
    dense, classes = torch.randn(2, 8, 3, 4), torch.randn(5, 8)
    scores = region_scores(dense, classes)
    for b, k, i, j in [(0, 0, 0, 0), (1, 4, 2, 3), (0, 2, 1, 1)]:
        slow = torch.cosine_similarity(dense[b, :, i, j], classes[k], dim=0)
        torch.testing.assert_close(scores[b, k, i, j], slow)


@given(sizes, st.floats(0.01, 1.0), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_selection_takes_the_best_positions(size, alpha, seed):
    batch, classes, height, width = size
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(batch, classes, height, width, generator=generator)
    chosen = select(scores, alpha)
    count = max(1, round(alpha * height * width))
    assert chosen.shape == (batch, count)
    for b in range(batch):
        best = [float(scores[b, :, p // width, p % width].max()) for p in range(height * width)]
        places = chosen[b].tolist()
        assert places == sorted(set(places))
        rest = [v for p, v in enumerate(best) if p not in places]
        assert not rest or min(best[p] for p in places) >= max(rest)


@given(sizes, st.floats(0.05, 1.0), st.sampled_from(["keep", "zero"]))
@settings(max_examples=40, deadline=None)
def test_features_go_back_to_where_they_came_from(size, alpha, elsewhere):
    batch, channels, height, width = size
    dense = torch.randn(batch, channels, height, width)
    positions = select(torch.rand(batch, 2, height, width), alpha)
    changed = gather(dense, positions) + 100
    fused = scatter(dense, positions, changed, elsewhere)
    for b in range(batch):
        for p in range(height * width):
            was = dense[b, :, p // width, p % width]
            base = was if elsewhere == "keep" else torch.zeros_like(was)
            wanted = was + 100 if p in positions[b].tolist() else base
            torch.testing.assert_close(fused[b, :, p // width, p % width], wanted)


def test_gradient_reaches_selected_features_only_with_zero_elsewhere():
    dense = torch.randn(1, 2, 2, 2, requires_grad=True)
    positions = torch.tensor([[1, 2]])
    scatter(dense, positions, gather(dense, positions), "zero").sum().backward()
    assert dense.grad[0, 0].flatten().tolist() == [0.0, 1.0, 1.0, 0.0]
