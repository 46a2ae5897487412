"""The estimated size of ranges and chains."""

import math

from hypothesis import given
from hypothesis import strategies as st

from gateway.bitrix.lists.estimate import Estimate


@given(
    st.lists(st.integers(1, 10**6), min_size=1, max_size=49, unique=True),
    st.integers(1, 50),
    st.floats(0, 10**6),
    st.floats(0, 10**6),
    st.integers(1, 10**6),
)
def test_a_remainder_takes_no_more_pages_than_its_ids_can_fill(
    observed: list[int], pages: int, local: float, rows: float, ids: int
) -> None:
    estimate = Estimate(10**7)
    estimate.observe(sorted(observed), 0, 10**6)
    assert 1 <= estimate.remainder_pages(pages, min(local, ids), min(rows, ids), ids) <= min(math.ceil(ids / 50), 50)
    estimate.disable_chains()
    assert estimate.remainder_pages(pages, min(local, ids), min(rows, ids), ids) == 1
