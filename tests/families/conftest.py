"""Every test that asks for `family` runs once for each."""

import pytest
from family_cases import Family, family_of

from byorn.testing import FAMILIES


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    return family_of(request.param)
