"""What rows are filtered by on the page."""

import pytest
from desks import FLAGGED, scanned

from byorn.errors import ConfigError
from byorn.review.filters import filters_of


def test_a_column_that_no_row_has_is_refused_with_the_one_that_was_meant(tmp_path):
    rows = scanned(tmp_path)
    assert filters_of(rows, FLAGGED, {}, "source")[0].name == "source"
    with pytest.raises(ConfigError, match="--group-by: unknown column 'sauce'; did you mean 'source'"):
        filters_of(rows, FLAGGED, {}, "sauce")
