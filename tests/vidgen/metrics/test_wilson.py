from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidgen.metrics.wilson import wilson


def test_known_values() -> None:
    # Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(0, 0) == (0, 1)


@given(st.integers(1, 1000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_contains_the_rate_and_mirrors(trial: tuple[int, int]) -> None:
    successes, n = trial
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    assert wilson(n - successes, n) == pytest.approx((1 - high, 1 - low))


def test_more_successes_than_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="successes"):
        wilson(3, 2)
