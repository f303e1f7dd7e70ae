"""One entry as a DICOM audit message (PS3.15 section A.5, Audit Trail Message Format Profile, 2024e).

Patients stand in it by their pseudonym, searches without their values. Elements come in the order of the schema of
section A.5.1; every coded value has ``csd-code``, ``codeSystemName`` and ``originalText``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from common.audit.actions import Action, action_of
from common.audit.events import OURS, Code

# PS3.15 table A.5.2-1: 0 success, 4 minor failure, 8 serious failure, 12 major failure.
_OUTCOMES = {"success": "0", "refused": "8", "not-found": "4", "failure": "8"}
_IP_ADDRESS = "2"
_APPLICATION_SERVER = "4"
_SOURCE = Code("110153", "Source Role ID")
_DESTINATION = Code("110152", "Destination Role ID")
_STUDY = Code("110180", "Study Instance UID")
_PATIENT_NUMBER = Code("2", "Patient Number", "RFC-3881")
_URI = Code("12", "URI", "RFC-3881")
_UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class Source:
    """Which system reports: its name within the enterprise."""

    source_id: str
    site_id: str


def outcome_of(result: str) -> str:
    """The outcome indicator of a result; what is not known to have gone well is a minor failure."""
    return _OUTCOMES.get(result, "4")


def audit_message(fields: Mapping[str, Any], source: Source) -> bytes:
    """The message of an entry, whose fields are those of ``chain.content``; UTF-8 without declaration."""
    action = action_of(fields["action"])
    root = Element("AuditMessage")
    _event(root, fields, action)
    _participants(root, fields, action, source)
    reporter = SubElement(
        root,
        "AuditSourceIdentification",
        AuditEnterpriseSiteID=_text(source.site_id),
        AuditSourceID=_text(source.source_id),
    )
    SubElement(reporter, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})
    _objects(root, fields, action)
    written: bytes = tostring(root, encoding="utf-8", xml_declaration=False)
    return written


def _event(root: Element, fields: Mapping[str, Any], action: Action) -> None:
    event = SubElement(
        root,
        "EventIdentification",
        EventActionCode=action.crud,
        EventDateTime=fields["at"],
        EventOutcomeIndicator=outcome_of(fields["result"]),
    )
    _coded(event, "EventID", action.event.code)
    if action.event.type is not None:
        _coded(event, "EventTypeCode", action.event.type)
    _coded(event, "EventTypeCode", Code(_text(fields["action"]), _text(fields["action"]), OURS))
    if fields["result"] != "success":
        SubElement(event, "EventOutcomeDescription").text = _text(fields["result"])


def _participants(root: Element, fields: Mapping[str, Any], action: Action, source: Source) -> None:
    person = {
        "UserID": _text(fields["actor_name"]) or _UNKNOWN,
        "UserIsRequestor": "true",
    }
    if fields["actor_id"] is not None:
        person["AlternativeUserID"] = str(fields["actor_id"])
    if fields["actor_institution_name"]:
        person["UserName"] = _text(
            f"{fields['actor_institution_name']} ({fields['actor_institution_code']})"
        )
    if fields["address"]:
        person |= {
            "NetworkAccessPointID": fields["address"],
            "NetworkAccessPointTypeCode": _IP_ADDRESS,
        }
    moves = action.event.code.value in {"110104", "110106", "110112"}
    stores = action.crud == "C"
    asks = _SOURCE if stores or action.event.code.value == "110112" else _DESTINATION
    answers = _DESTINATION if asks is _SOURCE else _SOURCE
    asking = SubElement(root, "ActiveParticipant", person)
    if moves:
        _coded(asking, "RoleIDCode", asks)
    ours = {"UserID": _text(source.source_id), "UserIsRequestor": "false"}
    answering = SubElement(root, "ActiveParticipant", ours)
    if moves:
        _coded(answering, "RoleIDCode", answers)
    if action.event.code.value == "110106":
        _file(root)


def _file(root: Element) -> None:
    """An export goes into a file that the browser takes away (A.5.3.5 names the media)."""
    media = SubElement(root, "ActiveParticipant", UserID="file", UserIsRequestor="false")
    _coded(media, "RoleIDCode", Code("110154", "Destination Media"))
    identifier = SubElement(media, "MediaIdentifier")
    _coded(identifier, "MediaType", Code("110037", "URI"))


def _objects(root: Element, fields: Mapping[str, Any], action: Action) -> None:
    study, person = fields["study_instance_uid"], fields.get("person_key", "")
    if study:
        _object(root, fields, type_code="2", role="3", kind=_STUDY, identity=study, name=study)
    if person or action.event.is_about_instances:
        identity = person or _UNKNOWN
        _object(
            root, fields, type_code="1", role="1", kind=_PATIENT_NUMBER, identity=identity,
            name=identity, detailed=not study,
        )  # fmt: skip
    if (not study and not person) or action.event.is_security_alert:
        uri = f"urn:x-province:{fields['object_type'] or 'none'}:{fields['object_id']}"
        _object(
            root, fields, type_code="2", role=_role_of(action), kind=_URI, identity=uri,
            name=fields["object_type"] or action.code, detailed=not study and not person,
        )  # fmt: skip


def _role_of(action: Action) -> str:
    """24 query, 13 security resource, 4 resource (PS3.15 section A.5.1.2.2)."""
    if action.event.code.value == "110112":
        return "24"
    alert = action.event.is_security_alert or action.event.code.value == "110101"
    return "13" if alert else "4"


def _object(
    root: Element,
    fields: Mapping[str, Any],
    *,
    type_code: str,
    role: str,
    kind: Code,
    identity: str,
    name: str,
    detailed: bool = True,
) -> None:
    found = SubElement(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=_text(identity),
        ParticipantObjectTypeCode=type_code,
        ParticipantObjectTypeCodeRole=role,
    )
    _coded(found, "ParticipantObjectIDTypeCode", kind)
    SubElement(found, "ParticipantObjectName").text = _text(name)
    if not detailed:
        return
    for label, value in (
        ("Alert Description", fields["action"] if role == "13" else ""),
        ("basis", fields["basis"]),
        ("purpose", fields["purpose"]),
        ("count", str(fields["count"]) if fields["count"] != 1 else ""),
        ("entry", str(fields["id"])),
    ):
        if value:
            encoded = base64.b64encode(value.encode()).decode()
            SubElement(found, "ParticipantObjectDetail", type=label, value=encoded)


def _coded(parent: Element, tag: str, code: Code) -> None:
    SubElement(
        parent,
        tag,
        {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning},
    )


def _text(value: str) -> str:
    """Text as XML 1.0 can carry it."""
    return "".join(sign for sign in value if sign.isprintable())
