"""Fixtures of the stories: a province, its archive, hospitals that misbehave, servers to be killed."""

from collections.abc import Iterator

import pytest

from tests.support.collection import reader
from tests.support.installation import Backends, Installation
from tests.support.ohif import ohif_build, tab
from tests.support.pulling import archive, hospital, make_hospital

__all__ = ["archive", "backends", "hospital", "make_hospital", "ohif_build", "reader", "tab"]


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backends]:
    """Servers of one file alone, with a migrated database to copy."""
    servers = Backends(tmp_path_factory.mktemp("backends"))
    try:
        servers.start()
        first = Installation(servers, "first", servers.database.url, redis_number=15)
        first.directory.mkdir()
        first.manage("migrate", "--verbosity", "0")
        yield servers
    finally:
        servers.stop()
