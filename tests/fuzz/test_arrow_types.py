"""A wrong number anywhere in an Arrow file, for every type of column: offsets, lengths, indices of dictionaries, run
ends and views are checked before anything follows them.
"""

import json
import os

import pyarrow as pa
import pytest
from fuzz_tables import EXAMPLES, ROWS, column_of
from judge import judge

ALL = "BYORN_FUZZ_CASES" in os.environ
NUMBERS = (2**31 - 1, 2**32 - 5, 40) if ALL else (2**31 - 1,)
STEP = 20 if ALL else 68


@pytest.mark.parametrize("place", range(len(EXAMPLES)), ids=[str(kind)[:40] for kind, _ in EXAMPLES])
@pytest.mark.parametrize("compression", [None, "zstd"])
def test_a_wrong_number_anywhere(place, compression, tmp_path):
    kind, examples = EXAMPLES[place]
    column = column_of(kind, (examples * ROWS)[:ROWS])
    table = pa.table({"prompt": ["Look"] * ROWS, "completion": ["A box."] * ROWS, "x": column})
    arrow = tmp_path / "data.arrow"
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(str(arrow), table.schema, options=options) as writer:
        writer.write_table(table)
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": arrow.name}]}))
    judge(tmp_path)
    sound = arrow.read_bytes()
    for where in range(0, len(sound) - 4, STEP):
        for number in NUMBERS:
            arrow.write_bytes(sound[:where] + number.to_bytes(4, "little") + sound[where + 4 :])
            judge(tmp_path)
