"""Three parties with cameras of their own, and people of each."""

import pytest
from tests.video.cameras.samples import Owners


@pytest.fixture
async def owners(database, home):
    return await Owners(database, home).make()
