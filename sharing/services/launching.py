"""Launches: an order-entry system opens one patient's time line for a clinician (DESIGN section 7; ADR 0028)."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from common import audit, logs, privacy
from common.accounts.models import User
from common.errors import NotPermitted
from hospitals import selectors as hospitals
from hospitals import services as hospital_services
from sharing.domain.launch import CLOCKS_APART_S, SignedForm, is_signed
from sharing.errors import LaunchRefused, LaunchSystemInvalid, NoOpenEncounter
from sharing.models import Encounter, Launch, LaunchSystem
from sharing.permissions import Role, open_encounters
from sharing.selectors.launches import digest, forget_sessions

if TYPE_CHECKING:
    from common.audit.services import Actor

log = logs.get_logger(__name__)

OPEN_WITHIN = timedelta(minutes=2)
SECRET_CONTEXT = "sharing_launchsystem.secret"  # noqa: S105  # the context of encryption, not a secret
_PLAIN = re.compile(r"[A-Za-z0-9._@+-]{1,64}\Z")


@dataclass(frozen=True)
class Request:
    """Whom to show, to whom, and what for. The patient by local number, or by the number of an open visit."""

    clinician_number: str
    clinician_name: str
    purpose: str
    patient_number: str = ""
    visit_number: str = ""


@dataclass(frozen=True)
class Asked:
    """A launch that may be opened once; ``code`` can be read only now."""

    launch: Launch
    code: str


def ask(*, actor: User, wanted: Request) -> Asked:
    """A one-time code for one person's time line, for the order-entry system whose account asks.

    Raises:
        NotPermitted: the account belongs to no such system.
        NoOpenEncounter: the patient is not being treated at the institution: there is no reason to look.
        LaunchRefused: the clinician is no longer one of the institution.
    """
    system = LaunchSystem.objects.select_related("institution", "account").filter(
        account=actor, active=True
    )
    found = system.first()
    if found is None or not _in_force(found):
        raise NotPermitted(_("Only an order-entry system that is registered may launch."))
    code = secrets.token_urlsafe(32)
    return Asked(_make(found, wanted, code=digest(code)), code)


def take_signed(*, form: SignedForm, given: str) -> Asked:
    """As ``ask``, for a system that signs a form with its secret.

    Raises:
        LaunchRefused: signature, time or nonce; one text for all, so that nobody learns which.
        NoOpenEncounter: as above.
    """
    system = _signer(form, given)
    wanted = Request(
        clinician_number=form.clinician_number,
        clinician_name=form.clinician_name,
        purpose=form.purpose,
        patient_number=form.patient_number,
        visit_number=form.visit_number,
    )
    code = secrets.token_urlsafe(32)
    return Asked(_make(system, wanted, code=digest(code), nonce=form.nonce), code)


def _signer(form: SignedForm, given: str) -> LaunchSystem:
    system = (
        LaunchSystem.objects.select_related("institution", "account")
        .filter(key_id=form.key, active=True, secret__isnull=False)
        .first()
    )
    if system is None or not form.is_whole() or not _in_force(system):
        raise LaunchRefused
    secret = privacy.decrypt(bytes(system.secret or b""), context=SECRET_CONTEXT)
    late = abs(int(form.timestamp) - timezone.now().timestamp()) > CLOCKS_APART_S
    if not is_signed(form, given, secret) or late:
        log.warning("launch.refused", system_id=system.pk, reason="late" if late else "signature")
        raise LaunchRefused
    return system


def _in_force(system: LaunchSystem) -> bool:
    institution = system.institution
    return institution.state == "active" and hospitals.has_role(
        system.account, Role.INTEGRATOR, institution_id=institution.pk
    )


@transaction.atomic
def _make(system: LaunchSystem, wanted: Request, *, code: bytes, nonce: str = "") -> Launch:
    now = timezone.now()
    encounter = _encounter(system, wanted, now)
    user = _clinician(system, wanted)
    try:
        with transaction.atomic():
            launch = Launch.objects.create(
                system=system,
                institution=system.institution,
                encounter=encounter,
                patient_id=encounter.patient_id,
                user=user,
                purpose=wanted.purpose[:200],
                nonce=nonce,
                code=code,
                created_at=now,
                open_before=now + OPEN_WITHIN,
                expires_at=min(now + timedelta(minutes=system.term_minutes), encounter.expires_at),
            )
    except IntegrityError as error:  # the nonce was used: the same form again
        log.warning("launch.refused", system_id=system.pk, reason="replayed")
        raise LaunchRefused from error
    _record(system.account, "launch.ask", launch, detail={"clinician_id": user.pk})
    return launch


def _encounter(system: LaunchSystem, wanted: Request, now: datetime) -> Encounter:
    rows = Encounter.objects.select_related("patient__person").filter(
        open_encounters(now), institution_id=system.institution_id
    )
    if wanted.visit_number:
        rows = rows.filter(visit_number=wanted.visit_number)
    if wanted.patient_number:
        rows = rows.filter(patient__number=wanted.patient_number)
    found = rows.order_by("-opened_at").first()
    if found is None or not (wanted.visit_number or wanted.patient_number):
        raise NoOpenEncounter
    return found


def _clinician(system: LaunchSystem, wanted: Request) -> User:
    """The account of this clinician of the institution, made at the first launch.

    It has no password and no token, so that it acts in launches only. Whom the institution's administrator closed, or
    took the role from, stays closed.
    """
    username = _username(system, wanted.clinician_number)
    user, created = User.objects.get_or_create(
        username=username, defaults={"first_name": wanted.clinician_name.strip()[:150]}
    )
    if created:
        user.set_unusable_password()
        user.save()
        hospital_services.grant_membership(
            actor="launch", user=user, role=Role.CLINICIAN, institution=system.institution
        )
        audit.record(system.account, "account.create", obj=user, detail={"for": "launch"})
    elif not user.is_active or not hospitals.has_role(
        user, Role.CLINICIAN, institution_id=system.institution_id
    ):
        raise LaunchRefused
    elif wanted.clinician_name.strip() and user.first_name != wanted.clinician_name.strip()[:150]:
        user.first_name = wanted.clinician_name.strip()[:150]
        user.save(update_fields=["first_name"])
    return user


def _username(system: LaunchSystem, number: str) -> str:
    number = number.strip()
    if not number:
        raise LaunchRefused
    plain = number if _PLAIN.match(number) else hashlib.sha256(number.encode()).hexdigest()[:24]
    return f"launch:{system.institution.code}:{plain}"


def open_launch(*, code: str) -> tuple[Launch, str]:
    """Use a code up; returns the launch and the secret of its session, which can be read only now.

    Raises:
        LaunchRefused: unknown, used, too late, or its reason is gone.
    """
    now = timezone.now()
    session = secrets.token_urlsafe(32)
    with transaction.atomic():
        changed = Launch.objects.filter(
            code=digest(code), opened_at=None, open_before__gt=now, ended_at=None
        ).update(opened_at=now, session=digest(session), code=None)
        if not changed:
            raise LaunchRefused
        launch = Launch.objects.select_related(
            "institution", "user", "patient__person", "encounter"
        ).get(session=digest(session))
        _record(launch.user, "launch.open", launch, basis="encounter", purpose=launch.purpose)
    return launch, session


def end_launch(*, launch_id: int) -> None:
    """End a session now; again: nothing happens."""
    with transaction.atomic():
        launch = (
            Launch.objects.select_for_update(of=("self",))
            .select_related("user", "patient__person")
            .get(pk=launch_id)
        )
        if launch.ended_at is None:
            launch.ended_at = timezone.now()
            launch.save(update_fields=["ended_at"])
            _record(launch.user, "launch.end", launch)
    forget_sessions()


def _record(
    actor: Actor,
    action: str,
    launch: Launch,
    *,
    basis: str = "",
    purpose: str = "",
    detail: dict[str, object] | None = None,
) -> None:
    audit.record(
        actor,
        action,
        launch,
        basis=basis,
        purpose=purpose,
        person_key=launch.patient.person.key,
        detail=detail or {},
    )


@transaction.atomic
def add_system(
    *,
    actor: User | str,
    institution_code: str,
    account: User,
    origins: tuple[str, ...] = (),
    term_minutes: int = 30,
    with_secret: bool = False,
) -> tuple[LaunchSystem, str]:
    """Let an order-entry system launch; returns it with its secret, if it signs: the only time it can be read.

    Raises:
        LaunchSystemInvalid: the account is no integrator there or launches already; an origin that is none.
    """
    institution = hospitals.get_institution(code=institution_code)
    if not hospitals.has_role(account, Role.INTEGRATOR, institution_id=institution.pk):
        raise LaunchSystemInvalid(_("The account is no integrator of this institution."))
    if LaunchSystem.objects.filter(account=account).exists():
        raise LaunchSystemInvalid(_("This account launches already."))
    if not 1 <= term_minutes <= 120:
        raise LaunchSystemInvalid(_("The term is 1 to 120 minutes."))
    secret = secrets.token_urlsafe(32) if with_secret else ""
    system = LaunchSystem.objects.create(
        institution=institution,
        account=account,
        key_id=secrets.token_hex(8),
        secret=privacy.encrypt(secret, context=SECRET_CONTEXT) if secret else None,
        origins=[_origin(each) for each in origins],
        term_minutes=term_minutes,
    )
    audit.record(actor, "launch.system.add", system, detail={"origins": system.origins})
    return system, secret


@transaction.atomic
def end_system(*, actor: User | str, key_id: str) -> None:
    """No more launches of this system, and its sessions end.

    Raises:
        LaunchSystemInvalid: there is none.
    """
    system = LaunchSystem.objects.select_for_update().filter(key_id=key_id).first()
    if system is None:
        raise LaunchSystemInvalid(_("There is no such system."))
    if system.active:
        system.active = False
        system.save(update_fields=["active"])
        system.launches.filter(ended_at=None).update(ended_at=timezone.now())
        audit.record(actor, "launch.system.end", system)
    forget_sessions()


def _origin(text: str) -> str:
    parts = urlsplit(text.strip())
    if parts.scheme not in {"http", "https"} or f"{parts.scheme}://{parts.netloc}" != text.strip():
        raise LaunchSystemInvalid(_("An origin is written like https://his.example.org."))
    if not re.fullmatch(r"[A-Za-z0-9.\-\[\]:]+", parts.netloc):
        raise LaunchSystemInvalid(_("An origin is written like https://his.example.org."))
    return text.strip()
