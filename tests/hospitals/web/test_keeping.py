"""An institution's administrator keeps its endpoint and its departments; nobody else's."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from common.audit.models import AuditEntry
from hospitals import selectors, services
from hospitals.models import Department, Endpoint, Probe
from tests.support.pages import Province, inline_parts, make_province

pytestmark = pytest.mark.django_db
NOWHERE = "http://127.0.0.1:9/dicom-web"


@pytest.fixture
def province(settings: Any) -> Province:
    settings.ALLOW_LOOPBACK_HOSPITALS = True
    return make_province()


def form(**changes: Any) -> dict[str, Any]:
    given = {
        "base_url": NOWHERE,
        "auth": "none",
        "concurrency": "2",
        "bandwidth": "8MB/s",
        "quiet_from": "08:00",
        "quiet_until": "12:00",
        "connect_timeout_s": "0.5",
        "read_timeout_s": "5",
        "character_set": "GB18030",
    }
    return given | changes


def at(name: str, code: str = "EAST") -> str:
    return reverse(f"hospitals:{name}", args=[code])


def test_the_administrator_sets_the_endpoint_and_it_is_probed_at_once(province: Province) -> None:
    client = province.client("institution_admin", language="zh-hans")

    answer = client.post(at("endpoint"), form(), follow=True)

    row = Endpoint.objects.get(institution=province.east)
    assert (row.base_url, row.concurrency, row.bandwidth_bytes_per_s) == (NOWHERE, 2, 8_000_000)
    assert (f"{row.quiet_from:%H:%M}", row.character_set) == ("08:00", "GB18030")
    assert Probe.objects.filter(endpoint=row).exists()
    html = answer.content.decode()
    assert "已保存，但" in html
    assert inline_parts(html) == []


def test_a_secret_goes_in_and_never_comes_out_and_stays_when_left_empty(province: Province) -> None:
    client = province.client("institution_admin")
    secret = {"auth": "basic", "secret_username": "cloud", "secret_password": "s3cret-of-east"}

    client.post(at("endpoint"), form(**secret))
    stored = bytes(Endpoint.objects.get(institution=province.east).secret or b"")
    shown = client.get(at("endpoint")).content.decode()
    client.post(at("endpoint"), form(auth="basic", concurrency="3"))

    row = Endpoint.objects.get(institution=province.east)
    assert stored
    assert "s3cret" not in shown
    assert 'value="cloud"' not in shown
    assert (row.concurrency, bytes(row.secret or b"")) == (3, stored)
    assert "s3cret" not in str(list(AuditEntry.objects.values()))


def test_a_new_address_is_not_sent_an_old_secret(province: Province) -> None:
    client = province.client("institution_admin")
    client.post(at("endpoint"), form(auth="bearer", secret_token="t0ken"))

    answer = client.post(at("endpoint"), form(auth="bearer", base_url=NOWHERE + "2"))

    assert answer.status_code == 422
    assert "This kind of authentication needs its secret." in answer.content.decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"bandwidth": "much"},
        {"bandwidth": "9" * 39},
        {"concurrency": "0"},
        {"concurrency": "9" * 30},
        {"quiet_from": "25:00"},
        {"quiet_until": ""},
        {"read_timeout_s": "nan"},
        {"character_set": "zlib"},
        {"base_url": "ftp://pacs.example"},
        {"base_url": ""},
        {"auth": "magic"},
        {"auth": "basic", "secret_username": "a", "secret_password": "b\r\nX: y"},
    ],
    ids=str,
)
def test_what_cannot_be_used_changes_nothing_and_is_said(
    province: Province, changes: dict[str, Any]
) -> None:
    before = Endpoint.objects.values().get(institution=province.east)

    answer = province.client("institution_admin").post(at("endpoint"), form(**changes))

    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()
    assert Endpoint.objects.values().get(institution=province.east) == before


def test_a_folder_is_the_provinces_to_name_and_its_hospitals_to_treat_gently(
    province: Province, tmp_path: Any
) -> None:
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
    services.set_endpoint(
        actor="test",
        institution=province.east,
        endpoint=services.EndpointSettings(folder=str(tmp_path / "own")),
    )
    client = province.client("institution_admin")
    mine = form(base_url="", folder=str(tmp_path / "own"), character_set="GBK")

    kept = client.post(at("endpoint"), mine)
    refused = client.post(at("endpoint"), mine | {"folder": str(tmp_path / "other")})

    row = Endpoint.objects.get(institution=province.east)
    assert (kept.status_code, refused.status_code) == (302, 403)
    assert (row.folder, row.character_set) == (str(tmp_path / "own"), "GBK")


@pytest.mark.parametrize("page", ["endpoint", "departments"])
@pytest.mark.parametrize(
    ("role", "there", "elsewhere"),
    [
        ("institution_admin", 200, 404),
        ("commission", 200, 200),
        ("radiologist", 403, 404),
        ("clinician", 403, 404),
        ("auditor", 403, 403),
        ("", 404, 404),
    ],
)
def test_each_role_finds_its_own_pages(
    province: Province, page: str, role: str, there: int, elsewhere: int
) -> None:
    client = province.client(role)

    assert [client.get(at(page, code)).status_code for code in ("EAST", "WEST", "NONE")] == [
        there,
        elsewhere,
        404,
    ]


def test_the_tabs_lead_to_what_the_reader_keeps_and_to_nothing_else(province: Province) -> None:
    own = province.client("institution_admin").get(at("hospital")).content.decode()
    reader = province.client("radiologist").get(at("hospital")).content.decode()

    assert at("endpoint") in own
    assert at("departments") in own
    assert at("endpoint") not in reader
    assert at("departments") not in reader


@pytest.fixture
def department(province: Province) -> Department:
    return services.add_department(actor="test", institution=province.east, name="放射科")


def change(client: Any, department: Department, **given: Any) -> Any:
    return client.post(reverse("hospitals:department-change", args=[department.pk]), given)


def test_departments_are_added_filled_renamed_emptied_and_closed(province: Province) -> None:
    client = province.client("institution_admin")
    province.client("radiologist")
    reader = province.east.memberships.get(role="radiologist").user

    client.post(at("department-add"), {"name": "  神经  影像组 "})
    row = Department.objects.get()
    change(client, row, do="join", user=reader.pk)
    joined = selectors.list_departments(institution_id=province.east.pk)
    change(client, row, do="rename", name="神经放射")
    change(client, row, do="leave", user=reader.pk)
    emptied = selectors.list_departments(institution_id=province.east.pk)
    change(client, row, do="close")

    assert [(each.name, len(each.colleagues)) for each in joined] == [("神经 影像组", 1)]
    assert [(each.name, len(each.colleagues)) for each in emptied] == [("神经放射", 0)]
    assert selectors.list_departments(institution_id=province.east.pk) == []
    actions = AuditEntry.objects.filter(action__startswith="department.").values_list("action")
    assert [each[0].split(".")[1] for each in actions.order_by("id")] == [
        "add", "join", "rename", "leave", "close"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "放射科", "\x00"])
def test_a_name_that_cannot_be_used_makes_no_department(
    province: Province, department: Department, name: str
) -> None:
    province.client("institution_admin").post(at("department-add"), {"name": name})

    assert Department.objects.count() == 1


def test_only_people_who_read_images_there_join(province: Province, department: Department) -> None:
    client = province.client("institution_admin")
    admin = province.east.memberships.get(role="institution_admin").user
    province.client("radiologist", institution=province.west)
    stranger = province.west.memberships.get(role="radiologist").user

    for user in (admin.pk, stranger.pk):
        change(client, department, do="join", user=user)

    assert not department.members.exists()
    assert change(client, department, do="join", user="x").status_code == 404


def test_whoever_lost_the_role_is_no_colleague_any_more(
    province: Province, department: Department
) -> None:
    province.client("radiologist")
    membership = province.east.memberships.get(role="radiologist")
    services.join_department(actor="test", department=department, user=membership.user)

    services.end_membership(actor="test", membership=membership)

    assert selectors.list_departments(institution_id=province.east.pk)[0].colleagues == ()
    assert selectors.department_ids_of(user_id=membership.user_id) == frozenset()
    assert not selectors.advising_institutions().exists()


@pytest.mark.parametrize("verb", ["rename", "close", "join", "leave", "", "explode"])
def test_departments_of_another_institution_look_absent(
    province: Province, department: Department, verb: str
) -> None:
    client = province.client("institution_admin", institution=province.west)

    answer = change(client, department, do=verb, name="x", user="1")

    department.refresh_from_db()
    assert answer.status_code == 404
    assert (department.name, department.closed_at) == ("放射科", None)
