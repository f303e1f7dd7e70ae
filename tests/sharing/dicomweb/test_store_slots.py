"""How many senders store at once."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from common.accounts.tokens import create_token
from sharing.dicomweb import store_slots, stow
from sharing.dicomweb.store_slots import StoreSlots
from sharing.errors import StoreBusy
from tests.sharing.dicomweb.conftest import Province
from tests.support import archive
from tests.support.pulling import instance


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_slots, "WAIT_S", 0.01)


def take_all(slots: StoreSlots, account: int, held: ExitStack) -> int:
    """Take places until there is none; how many there were."""
    for number in range(100):
        try:
            held.enter_context(slots.taken(account))
        except StoreBusy:
            return number
    return 100


def test_one_account_has_eight_of_the_usual_places_and_leaves_the_rest_to_others() -> None:
    with ExitStack() as held:
        slots = StoreSlots(12)

        assert take_all(slots, 1, held) == 8
        assert take_all(slots, 2, held) == 4


@pytest.mark.parametrize(("places", "of_one"), [(-3, 1), (1, 1), (2, 2), (3, 2), (6, 4)])
def test_of_few_places_one_account_has_some(places: int, of_one: int) -> None:
    with ExitStack() as held:
        assert take_all(StoreSlots(places), 1, held) == of_one


def test_a_place_that_is_given_back_can_be_taken_again() -> None:
    slots = StoreSlots(3)
    with ExitStack() as held:
        take_all(slots, 1, held)

    with ExitStack() as held:
        assert take_all(slots, 1, held) == 2


@pytest.mark.django_db(transaction=True)
def test_an_account_whose_places_are_taken_is_told_when_to_try_again(
    province: Province, client: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(stow, "_slots", StoreSlots(1))
    pacs = archive.make_user("pacs", "integrator", province.near, is_system=True)
    ours = {"authorization": f"Bearer {create_token(actor='test', user=pacs)}"}

    def store() -> Any:
        return client.post(
            "/dicom-web/studies", instance(1), content_type="application/dicom", headers=ours
        )

    with stow._slots.taken(-1):
        refused = store()

    assert (refused.status_code, store().status_code) == (503, 200)
    assert refused["Retry-After"] == "5"
