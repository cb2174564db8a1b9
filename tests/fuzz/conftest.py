"""How much is tried, and from which seed.

`BYORN_FUZZ_CASES` is the number of cases a test. The default is for every run of the tests, with the same cases each
time; `make fuzz` tries more, from a seed. A case that crashes the process leaves its folder `byorn-fuzz-*` in the
temporary folder.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fuzz_values import SMALL_IMAGES
from hostile import IMAGES
from hypothesis import HealthCheck, Phase, settings
from judge import ENDS, NewFolder

FEW = 12
CASES = int(os.environ.get("BYORN_FUZZ_CASES", FEW))

settings.register_profile(
    "byorn",
    max_examples=CASES,
    derandomize=CASES <= FEW,
    database=None,
    deadline=None,
    phases=[Phase.generate] if CASES <= FEW else [Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
settings.load_profile("byorn")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all hostile images but the large ones."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in SMALL_IMAGES:
        (folder / f"{name}.png").write_bytes(IMAGES[name]())
    return folder


@pytest.fixture(scope="session")
def new_folder(pictures: Path) -> NewFolder:
    """Makes a folder for one case, with the pictures in it."""

    @contextmanager
    def folder() -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="byorn-fuzz-") as name:
            for picture in pictures.iterdir():
                os.link(picture, Path(name, picture.name))
            yield Path(name)

    return folder


@pytest.fixture(scope="module", autouse=True)
def _tell_ends() -> Iterator[None]:
    """Shows (with `-s`) how many cases gave rows, and how many an error."""
    yield
    print(f"\n{dict(ENDS)}")
