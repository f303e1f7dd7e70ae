"""What every action of the trail means: its words, and its place among the events of PS3.15 and FHIR.

An action that the code writes stands here, else ``tests/architecture/test_audit_table.py`` fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from common.audit import events
from common.audit.events import Crud, EventKind


@dataclass(frozen=True)
class Action:
    """One action. ``looks`` where somebody saw or took a patient's data: what a review counts."""

    code: str
    label: Any  # a lazy translation: said in the reader's language
    event: EventKind
    crud: Crud
    looks: bool = False


def _of(event: EventKind, crud: Crud, *rows: tuple[str, Any], looks: bool = False) -> list[Action]:
    return [Action(code, label, event, crud, looks) for code, label in rows]


_ALL: list[Action] = [
    *_of(
        events.ACCESSED,
        "R",
        ("study.view", _("Study opened")),
        ("series.view", _("Series opened in the light viewer")),
        ("dicomweb.view", _("Images looked at")),
        ("fhir.read", _("Read by FHIR")),
        ("study.fetch", _("Study fetched from its hospital")),
        looks=True,
    ),
    *_of(events.TRANSFERRED, "R", ("dicomweb.retrieve", _("Images downloaded")), looks=True),
    *_of(
        events.TRANSFERRED,
        "C",
        ("dicomweb.store", _("Images stored")),
        ("instance.quarantine", _("Instance put into quarantine")),
    ),
    *_of(events.EXPORTED, "R", ("study.export", _("List of studies exported")), looks=True),
    *_of(
        events.QUERY,
        "E",
        ("study.search", _("Studies searched")),
        ("study.ask-hospitals", _("Hospitals asked")),
        ("dicomweb.search", _("Searched by DICOMweb")),
        ("fhir.search", _("Searched by FHIR")),
    ),
    *_of(events.QUERY, "E", ("person.search", _("Persons searched"))),
    *_of(
        events.OPERATION,
        "E",
        ("charset.preview", _("Repair of texts looked at beforehand")),
        ("charset.repair", _("Repair of texts started")),
        ("charset.undo", _("Repair of texts taken back")),
        ("patient.rotate-keys", _("Identities of patients encrypted anew")),
        ("hl7.rotate-keys", _("Messages of hospitals encrypted anew")),
    ),
    *_of(events.PATIENT, "U", ("patient.register", _("Patient registered"))),
    *_of(events.PATIENT, "R", ("patient.unmask", _("Identity shown in full")), looks=True),
    *_of(
        events.PATIENT,
        "U",
        ("person.link", _("Patients joined to one person")),
        ("person.unlink", _("Joined patients taken apart")),
        ("candidate.link", _("Candidates found to be one person")),
        ("candidate.reject", _("Candidates found to be two persons")),
    ),
    *_of(
        events.STUDY_DELETED,
        "D",
        ("study.delete", _("Study deleted")),
        ("study.purge", _("Bytes of a deleted study removed")),
    ),
    *_of(events.STUDY_DELETED, "U", ("study.undelete", _("Deletion undone"))),
    *_of(
        events.OBJECT_RIGHTS,
        "U",
        ("study.hold", _("Legal hold set")),
        ("study.release", _("Legal hold released")),
    ),
    *_of(events.LOGIN, "E", ("login", _("Log-in"))),
    *_of(events.LOGOUT, "E", ("logout", _("Log-out")), ("session.end", _("Session ended"))),
    *_of(events.RESTRICTED, "E", ("access.refused", _("Access refused"))),
    *_of(
        events.USER_RIGHTS,
        "C",
        ("account.create", _("Account made")),
        ("token.create", _("Token made")),
    ),
    *_of(
        events.USER_RIGHTS,
        "U",
        ("account.change", _("Account changed")),
        ("account.unlock", _("Lock of an account lifted")),
        ("password.change", _("Password changed")),
        ("password.reset", _("Password reset by an administrator")),
        ("identity.confirm", _("Identity asked for again")),
        ("second-factor.set-up", _("Second factor set up")),
        ("second-factor.code", _("One-time code entered")),
        ("second-factor.recovery-code", _("Recovery code used")),
        ("second-factor.recovery-codes-renewed", _("Recovery codes renewed")),
        ("second-factor.reset", _("Second factor reset")),
        ("token.rotate", _("Token rotated")),
    ),
    *_of(events.USER_RIGHTS, "D", ("token.revoke", _("Token revoked"))),
    *_of(events.ROLES, "C", ("membership.grant", _("Role given"))),
    *_of(events.ROLES, "D", ("membership.end", _("Role withdrawn"))),
    *_of(
        events.NETWORK,
        "U",
        ("endpoint.set", _("Endpoint set")),
        ("endpoint.rotate_secret", _("Secret of an endpoint encrypted anew")),
    ),
    *_of(events.OPERATION, "E", ("endpoint.probe", _("Endpoint probed"))),
    *_of(
        events.SECURITY,
        "C",
        ("institution.add", _("Hospital added")),
        ("region.add", _("Region added")),
        ("consortium.add", _("Consortium added")),
    ),
    *_of(
        events.SECURITY,
        "U",
        ("institution.update", _("Hospital changed")),
        ("institution.active", _("Hospital activated")),
        ("institution.suspended", _("Hospital suspended")),
        ("institution.left", _("Hospital left")),
        ("institution.onboarding", _("Hospital set to onboarding")),
    ),
    *_of(
        events.OPERATION,
        "E",
        ("event.retry", _("Parked event sent again")),
        ("event.discard", _("Parked event discarded")),
        ("object.sweep", _("Orphan removed from the bucket")),
        ("quarantine.settle", _("Case settled")),
        ("study.certify", _("Completeness certified")),
        ("transfer.retry", _("Transfer tried again")),
    ),
    *_of(
        events.PATIENT,
        "R",
        ("patient.view", _("Patient's page opened")),
        ("hl7.view", _("Message of a hospital read")),
        looks=True,
    ),
    *_of(
        events.PROCEDURE,
        "R",
        ("report.view", _("Report read")),
        ("report.list", _("Reports listed")),
        ("consultation.view", _("Consultation opened")),
        ("consultation.print", _("Consultation printed")),
        looks=True,
    ),
    *_of(
        events.PROCEDURE,
        "C",
        ("report.receive", _("Report taken in")),
        ("consultation.ask", _("Consultation asked for")),
        ("consultation.write", _("Entry written in a consultation")),
        ("consultation.sign", _("Opinion signed")),
    ),
    *_of(
        events.PROCEDURE,
        "U",
        ("consultation.amend", _("Opinion amended")),
        ("consultation.accept", _("Consultation accepted")),
        ("consultation.decline", _("Consultation declined")),
        ("consultation.declined", _("Consultation declined")),
        ("consultation.forward", _("Consultation forwarded")),
        ("consultation.closed", _("Consultation closed")),
        ("consultation.withdrawn", _("Consultation withdrawn")),
        ("consultation.expired", _("Consultation expired")),
    ),
    *_of(
        events.QUERY,
        "E",
        ("report.search", _("Reports searched")),
        ("desk.search", _("Registered patients searched")),
        ("desk.list", _("Registered patients listed")),
        ("encounter.list", _("Encounters listed")),
        ("consent.list", _("Consents listed")),
        ("deletion.list", _("Deleted studies listed")),
        ("quarantine.view", _("Case of quarantine opened")),
        ("candidate.list", _("Patients that may be one person listed")),
        ("candidate.view", _("Patients that may be one person compared")),
        ("home.list", _("Newest studies on the start page")),
    ),
    *_of(
        events.PATIENT,
        "C",
        ("encounter.register", _("Encounter registered")),
    ),
    *_of(
        events.PATIENT,
        "U",
        ("encounter.change", _("Encounter changed")),
        ("encounter.close", _("Encounter closed")),
        ("hl7.done", _("Message of a hospital acted on")),
        ("hl7.ignored", _("Message of a hospital not needed")),
        ("hl7.failed", _("Message of a hospital failed")),
        ("hl7.replay", _("Message of a hospital acted on again")),
    ),
    *_of(events.EMERGENCY_STARTED, "E", ("emergency.open", _("Emergency access begun"))),
    *_of(events.EMERGENCY_STOPPED, "E", ("emergency.end", _("Emergency access ended"))),
    *_of(
        events.OBJECT_RIGHTS,
        "C",
        ("consent.give", _("Consent recorded")),
        ("study.share", _("Study shared in a consultation")),
        ("slip.issue", _("Film slip issued")),
    ),
    *_of(
        events.OBJECT_RIGHTS,
        "D",
        ("consent.withdraw", _("Consent withdrawn")),
        ("slip.revoke", _("Film slip revoked")),
    ),
    *_of(events.ACCESSED, "R", ("slip.open", _("Film slip opened")), looks=True),
    *_of(events.EXPORTED, "R", ("scorecard.export", _("Figures of a hospital exported"))),
    *_of(
        events.ROLES,
        "C",
        ("invitation.create", _("Person invited")),
        ("invitation.accept", _("Invitation accepted")),
        ("department.add", _("Department added")),
        ("department.join", _("Person put into a department")),
        ("admin.add", _("Added in the administration")),
    ),
    *_of(
        events.ROLES,
        "U",
        ("membership.prolong", _("Role prolonged")),
        ("department.rename", _("Department renamed")),
        ("admin.change", _("Changed in the administration")),
    ),
    *_of(
        events.ROLES,
        "D",
        ("invitation.revoke", _("Invitation taken back")),
        ("department.close", _("Department closed")),
        ("department.leave", _("Person taken out of a department")),
        ("admin.delete", _("Deleted in the administration")),
    ),
    *_of(
        events.USER_RIGHTS,
        "U",
        ("identity.link", _("Log-in provider linked")),
        ("identity.unlink", _("Log-in provider taken away")),
    ),
    *_of(
        events.NETWORK,
        "U",
        ("hl7.sender.add", _("Sender of messages registered")),
        ("hl7.sender.end", _("Sender of messages ended")),
    ),
    *_of(
        events.OBJECT_RIGHTS,
        "C",
        ("grant.give", _("Right on an object given")),
        ("launch.ask", _("Launch asked for by an order-entry system")),
    ),
    *_of(events.OBJECT_RIGHTS, "D", ("grant.revoke", _("Right on an object taken away"))),
    *_of(events.LOGIN, "E", ("launch.open", _("Launch opened"))),
    *_of(events.LOGOUT, "E", ("launch.end", _("Launch ended"))),
    *_of(events.NETWORK, "C", ("launch.system.add", _("Order-entry system registered"))),
    *_of(events.NETWORK, "D", ("launch.system.end", _("Order-entry system ended"))),
    *_of(events.LOG_USED, "R", ("audit.search", _("Audit trail searched")),
         ("audit.view", _("Entry of the audit trail opened")),
         ("audit.export", _("Audit trail exported")),
         ("audit.patient", _("Looked up who looked at a patient"))),
    *_of(events.LOG_USED, "U", ("audit.review", _("Unusual access reviewed"))),
]  # fmt: skip

ACTIONS: dict[str, Action] = {action.code: action for action in _ALL}


def action_of(code: str) -> Action:
    """The meaning of an action; for one that an older release wrote, the code itself."""
    return ACTIONS.get(code) or Action(code, code, events.OPERATION, "E")


def looking() -> list[str]:
    """The actions by which somebody saw or took a patient's data."""
    return [action.code for action in ACTIONS.values() if action.looks]


def codes_where(*, event_codes: Iterable[str] = (), cruds: Iterable[str] = ()) -> list[str]:
    """The actions of these kinds of events, or of these verbs."""
    wanted_events, wanted_cruds = set(event_codes), set(cruds)
    return [
        action.code
        for action in ACTIONS.values()
        if (not wanted_events or action.event.code.value in wanted_events)
        and (not wanted_cruds or action.crud in wanted_cruds)
    ]
