"""Who may store, and into which institution (PS3.18 §10.5; DESIGN section 7)."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from sharing.models import (
    Study,
)
from tests.sharing.dicomweb.conftest import Province
from tests.support import archive
from tests.support.pulling import SERIES, instance
from tests.support.storing import (
    Sender,
    failures,
    post_report,
    report,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_reader_may_not_store_images(province: Province, client: Any) -> None:
    answer = Sender(client, province.radiologist).store(instance(1))

    assert answer.status_code == 409
    assert failures(answer) == {f"{SERIES}.1": 0x0124}


def test_somebody_without_a_role_may_not_store(province: Province, client: Any) -> None:
    assert Sender(client, province.stranger).store(instance(1)).status_code == 403


def test_an_integrator_of_two_institutions_names_the_one(province: Province, client: Any) -> None:
    user = archive.make_user("vendor", "integrator", province.near)
    user.memberships.create(
        role="integrator", institution=province.partner, valid_from=date(2020, 1, 1)
    )

    at_root = Sender(client, user).store(instance(1))
    named = Sender(client, user, "/dicom-web/at/partner").store(instance(1))
    elsewhere = Sender(client, user, "/dicom-web/at/far").store(instance(1))

    assert at_root.status_code == 409
    assert named.status_code == 200
    assert elsewhere.status_code == 403
    assert Study.objects.get().institution == province.partner


def test_a_readers_viewer_stores_a_report_on_a_partners_study_into_its_own_institution(
    province: Province, reader: Any, client: Any
) -> None:
    partner = archive.make_user("other-pacs", "integrator", province.partner, is_system=True)
    Sender(client, partner, "/dicom-web/at/partner").store(instance(1))

    answer = post_report(reader, report(), **{"sec-fetch-site": "same-origin"})

    assert answer.status_code == 200
    assert {study.institution.code for study in Study.objects.all()} == {"near", "partner"}


def test_a_report_on_a_study_that_the_reader_cannot_see_is_refused(
    province: Province, reader: Any
) -> None:
    answer = post_report(reader, report("1.2.9"), **{"sec-fetch-site": "same-origin"})

    assert answer.status_code == 409
    assert not Study.objects.exists()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
    ],
)
def test_a_session_without_proof_of_the_same_origin_may_not_store(
    province: Province, client: Any, headers: dict[str, str]
) -> None:
    client.force_login(archive.make_user("person", "integrator", province.near))

    assert post_report(client, instance(1), **headers).status_code == 403


def test_a_session_from_our_own_page_may_store(province: Province, client: Any) -> None:
    client.force_login(archive.make_user("person", "integrator", province.near))

    answer = post_report(client, instance(1), origin="http://testserver")

    assert answer.status_code == 200
