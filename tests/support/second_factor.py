"""Sessions of tests have shown a second factor, unless the test is about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from common.accounts import demands


@pytest.fixture(autouse=True)
def second_factor_shown(request: pytest.FixtureRequest) -> Iterator[None]:
    """``client.force_login`` passes by the log-in page, so it passes by the second factor too.

    With the mark ``one_factor`` it makes the session of somebody who has shown a password only. The log-in page
    itself is the same for every test: nothing in the product knows of this.
    """
    demands.forget()
    if request.node.get_closest_marker("one_factor"):
        yield
        return
    patch = pytest.MonkeyPatch()
    force_login = Client.force_login

    def with_both(self: Client, user: Any, backend: str | None = None) -> None:
        force_login(self, user, backend)
        session = self.session
        session[demands.MARK] = "test"
        session.save()

    patch.setattr(Client, "force_login", with_both)
    yield
    patch.undo()
