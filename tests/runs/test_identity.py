"""What a file of a run belongs to: a refusal says which file, what differs and what to do."""

from pathlib import Path

import numpy as np
import pytest

from byorn.errors import MismatchError
from byorn.pipeline.scanned import require_scanned
from byorn.scoring.table import Scores


def test_a_folder_with_a_semicolon_in_its_name_hides_nothing_of_what_is_wrong() -> None:
    scores = Scores(["a"], [0], {"nll": np.ones(1)}, np.ones(1, dtype=int), [None], {"data": "then"})
    with pytest.raises(MismatchError) as refusal:
        require_scanned(scores, {"data": "now"}, Path("runs/a; b"))
    said = "runs/a; b/scores.parquet: the data set changed since it was written; scan again, or give what was scanned"
    assert str(refusal.value).startswith(said)
