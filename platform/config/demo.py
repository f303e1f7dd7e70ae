"""The demo province: region, hospitals of several kinds, people in every role. Only with ``up --demo``."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction

from common.accounts.models import User
from common.identifiers.credit_code import check_character
from config import demo_consultation, demo_hl7, demo_patients, demo_people, demo_reports
from hospitals import selectors as hospital_selectors
from hospitals import services as hospital_services
from hospitals.errors import ConsortiumUnknown, InstitutionUnknown, RegionUnknown
from hospitals.services import EndpointSettings

if TYPE_CHECKING:
    from hospitals.models import Consortium, Institution, Region

ACTOR = "demo"
PEOPLE_FILE = "demo-people"


@dataclass(frozen=True)
class Hospital:
    """One institution of the demo."""

    code: str
    name: str
    level: str
    kind: str
    credit_stem: str
    endpoint: EndpointSettings


@dataclass(frozen=True)
class Person:
    """One account of the demo; no institution means the whole province."""

    username: str
    name: str
    role: str
    institution: str = ""
    is_system: bool = False


UNIVERSITY, COUNTY, TOWNSHIP = "jcdx-hospital", "yunxi-county", "shanmen-township"

PEOPLE = (
    Person("demo-commission", "卫健委管理员", "commission"),
    Person("demo-hospital", "大学附属医院管理员", "institution_admin", UNIVERSITY),
    Person("demo-radiologist", "放射科医师", "radiologist", UNIVERSITY),
    Person("demo-clinician", "临床医师", "clinician", COUNTY),
    Person("demo-auditor", "医保审核员", "auditor"),
    Person("demo-integrator", "PACS 接口", "integrator", UNIVERSITY, is_system=True),
    Person("demo-operator", "运维人员", "operator"),
)


def hospitals(*, files: Path, origin_url: str) -> tuple[Hospital, ...]:
    """A hospital with DICOMweb, one with a folder, and one that is off line on purpose."""
    return (
        Hospital(
            UNIVERSITY, "江城大学附属医院（演示）", "tertiary", "general", "12990000MB1A2B3C4",
            EndpointSettings(base_url=f"{origin_url}/dicom-web", concurrency=4),
        ),
        Hospital(
            COUNTY, "云溪县人民医院（演示）", "secondary", "general", "12990121MB5D6E7F8",
            EndpointSettings(
                folder=str(files / "folder-hospital"),
                concurrency=2,
                character_set="GB18030",
            ),
        ),
        Hospital(
            TOWNSHIP, "山门镇中心卫生院（演示，离线）", "primary", "community", "12990121MB9G0H1J2",
            # Port 9 (discard): nobody answers there, which is what this hospital is for.
            EndpointSettings(
                base_url="http://127.0.0.1:9/dicom-web",
                connect_timeout_s=2.0,
            ),
        ),
    )  # fmt: skip


def seed(*, origin_url: str) -> list[Institution]:
    """Write the demo province; rows that are there already stay. Returns its institutions."""
    files = settings.DATA_DIR / "demo"
    with transaction.atomic():
        region, consortium = _province()
        found = [
            _institution(hospital, region, consortium)
            for hospital in hospitals(files=files, origin_url=origin_url)
        ]
        passwords = {person.username: _person(person) for person in PEOPLE}
        demo_consultation.seed()
        demo_people.seed(institution_code=UNIVERSITY)
        demo_hl7.seed(institution_code=UNIVERSITY)
        demo_reports.seed()
        demo_patients.seed(university=UNIVERSITY, county=COUNTY, township=TOWNSHIP)
    _keep_passwords(settings.DATA_DIR / PEOPLE_FILE, passwords)
    return found


def _province() -> tuple[Region, Consortium]:
    try:
        region = hospital_selectors.get_region(code="990000")
    except RegionUnknown:
        region = hospital_services.add_region(actor=ACTOR, code="990000", name="演示省")
    try:
        consortium = hospital_selectors.get_consortium(code="demo")
    except ConsortiumUnknown:
        consortium = hospital_services.add_consortium(
            actor=ACTOR, code="demo", name="演示省影像医联体", region=region
        )
    return region, consortium


def _institution(hospital: Hospital, region: Region, consortium: Consortium) -> Institution:
    try:
        institution = hospital_selectors.get_institution(code=hospital.code)
    except InstitutionUnknown:
        institution = hospital_services.add_institution(
            actor=ACTOR,
            code=hospital.code,
            name=hospital.name,
            region=region,
            consortium=consortium,
            credit_code=hospital.credit_stem + check_character(hospital.credit_stem),
            level=hospital.level,
            kind=hospital.kind,
        )
        hospital_services.set_endpoint(
            actor=ACTOR, institution=institution, endpoint=hospital.endpoint
        )
        return hospital_services.activate(actor=ACTOR, code=hospital.code)
    if institution.endpoint.base_url != hospital.endpoint.base_url:
        # The demo's own hospital may listen on another port after a restart.
        hospital_services.set_endpoint(
            actor=ACTOR, institution=institution, endpoint=hospital.endpoint
        )
    return institution


def _person(person: Person) -> str:
    """The password of a new account; empty when the account is there already or logs in by token."""
    user, created = User.objects.get_or_create(
        username=person.username,
        defaults={"first_name": person.name, "is_system": person.is_system},
    )
    password = ""
    if created:
        password = "" if person.is_system else secrets.token_urlsafe(12)
        user.set_password(password or None)
        user.save()
    institution = (
        hospital_selectors.get_institution(code=person.institution) if person.institution else None
    )
    hospital_services.grant_membership(
        actor=ACTOR, user=user, role=person.role, institution=institution
    )
    return password


def _keep_passwords(path: Path, passwords: dict[str, str]) -> None:
    if path.is_file() or not any(passwords.values()):
        return
    lines = [
        f"{person.username:<18} {passwords[person.username]}   {person.name}"
        if passwords[person.username]
        else f"{person.username:<18} by token: manage.py create_token {person.username}   {person.name}"
        for person in PEOPLE
    ]
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
