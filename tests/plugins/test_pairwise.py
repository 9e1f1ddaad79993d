from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from tests.plugins.pairwise import pairs, pairwise_cover


@given(st.sets(st.tuples(*(st.sampled_from("abc") for _ in range(4)))))
def test_every_pair_is_covered_by_rows_that_there_are(rows):
    cover = pairwise_cover(sorted(rows))
    assert set(cover) <= rows
    assert len(cover) == len(set(cover))
    assert set().union(*map(pairs, cover)) == set().union(*map(pairs, rows))


def test_a_cover_is_far_smaller_than_the_product():
    rows = list(product("abcde", "abcd", "abcd", "abcde"))
    assert len(rows) == 400
    assert 25 <= len(pairwise_cover(rows)) <= 35


def test_pairs_know_their_places():
    assert pairs("aab") == {((0, "a"), (1, "a")), ((0, "a"), (2, "b")), ((1, "a"), (2, "b"))}
