"""DICOM audit messages: the grammar of PS3.15 section A.5.1, and what stands in them.

The grammar below is that of the standard's RELAX NG schema, said again as tables.
"""

from __future__ import annotations

import base64
import itertools
import re
from xml.etree import ElementTree

import pytest
from django.core.management import call_command

from common import audit, request_context
from common.audit import chain
from common.audit.actions import ACTIONS
from common.audit.dicom_message import Source, audit_message
from common.audit.models import AuditEntry

CODED = {"csd-code": ".+", "codeSystemName": ".+", "originalText": ".+"}
# Element → attributes (a question mark: may be absent) and children in order (regular expression of names).
GRAMMAR = {
    "AuditMessage": ({}, r"EventIdentification (ActiveParticipant )+AuditSourceIdentification "
                         r"(ParticipantObjectIdentification )*"),
    "EventIdentification": (
        {"EventActionCode?": "[CRUDE]", "EventOutcomeIndicator": "0|4|8|12",
         "EventDateTime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"},
        r"EventID (EventTypeCode )*(EventOutcomeDescription )?"),
    "EventID": (CODED, ""),
    "EventTypeCode": (CODED, ""),
    "EventOutcomeDescription": ({}, ""),
    "ActiveParticipant": (
        {"UserID": ".+", "UserIsRequestor": "true|false", "AlternativeUserID?": ".+", "UserName?": ".+",
         "NetworkAccessPointID?": ".+", "NetworkAccessPointTypeCode?": "[1-5]"},
        r"(RoleIDCode )*(MediaIdentifier )?"),
    "RoleIDCode": (CODED, ""),
    "MediaIdentifier": ({}, "MediaType "),
    "MediaType": (CODED, ""),
    "AuditSourceIdentification": ({"AuditEnterpriseSiteID?": ".+", "AuditSourceID": ".+"},
                                  r"(AuditSourceTypeCode )*"),
    "AuditSourceTypeCode": ({"csd-code": "[1-9]"}, ""),
    "ParticipantObjectIdentification": (
        {"ParticipantObjectID": ".+", "ParticipantObjectTypeCode?": "[1-4]",
         "ParticipantObjectTypeCodeRole?": "[1-9]|1[0-9]|2[0-6]"},
        r"ParticipantObjectIDTypeCode (ParticipantObjectName |ParticipantObjectQuery )"
        r"(ParticipantObjectDetail )*"),
    "ParticipantObjectIDTypeCode": (CODED, ""),
    "ParticipantObjectName": ({}, ""),
    "ParticipantObjectDetail": ({"type": ".+", "value": "[A-Za-z0-9+/]+=*"}, ""),
}  # fmt: skip


def check(element: ElementTree.Element) -> None:
    attributes, children = GRAMMAR[element.tag]
    known = {name.rstrip("?"): pattern for name, pattern in attributes.items()}
    needed = {name for name in attributes if not name.endswith("?")}
    assert needed <= set(element.keys()) <= set(known), element.tag
    for name, value in element.items():
        assert re.fullmatch(known[name], value, re.DOTALL), (element.tag, name, value)
    assert re.fullmatch(children, "".join(f"{child.tag} " for child in element)), element.tag
    for child in element:
        check(child)


def fields(**other):
    given = dict.fromkeys(chain.FIELDS, "") | {
        "id": 5, "at": "2026-01-02T03:04:05.000006Z", "actor_kind": "user", "actor_id": 7,
        "actor_name": "li.na", "actor_institution_code": "H1", "actor_institution_name": "第一医院",
        "action": "dicomweb.view", "object_type": "sharing.study", "object_id": "9",
        "institution_id": 3, "study_instance_uid": "1.2.3", "basis": "own-institution",
        "purpose": "view", "result": "success", "address": "192.0.2.7", "count": 300, "detail": {},
        "person_key": "7QX2K9",
    }  # fmt: skip
    return given | other


def message(**other) -> ElementTree.Element:
    root = ElementTree.fromstring(audit_message(fields(**other), Source("cloud", "province")))
    check(root)
    return root


def objects(root):
    """Role and identifier of each participant object."""
    return [
        (each.get("ParticipantObjectTypeCodeRole"), each.get("ParticipantObjectID"))
        for each in root.iter("ParticipantObjectIdentification")
    ]


@pytest.mark.parametrize("action", [*ACTIONS, "of.an-older-release"])
def test_every_action_makes_a_message_of_the_grammar(action):
    for study, person, actor_id, result in itertools.product(
        ("", "1.2.3"), ("", "7QX2K9"), (None, 7), ("success", "refused", "whatever")
    ):
        message(action=action, study_instance_uid=study, person_key=person, actor_id=actor_id,
                actor_name="" if actor_id is None else "li.na", address="", result=result)  # fmt: skip


def test_looking_at_images_is_instances_accessed_with_study_patient_and_person():
    root = message()

    assert root.find("EventIdentification/EventID").get("csd-code") == "110103"
    assert root.find("EventIdentification").get("EventActionCode") == "R"
    assert objects(root) == [("3", "1.2.3"), ("1", "7QX2K9")]
    person = root.find("ActiveParticipant")
    assert (person.get("UserID"), person.get("UserIsRequestor")) == ("li.na", "true")
    assert (person.get("NetworkAccessPointID"), person.get("UserName")) == (
        "192.0.2.7",
        "第一医院 (H1)",
    )
    details = {
        each.get("type"): base64.b64decode(each.get("value")).decode()
        for each in root.iter("ParticipantObjectDetail")
    }
    assert details == {"basis": "own-institution", "purpose": "view", "count": "300", "entry": "5"}


@pytest.mark.parametrize(
    ("action", "event", "type_code"),
    [
        ("dicomweb.retrieve", "110104", None),
        ("study.export", "110106", None),
        ("study.delete", "110105", None),
        ("dicomweb.search", "110112", None),
        ("login", "110114", "110122"),
        ("logout", "110114", "110123"),
        ("membership.grant", "110113", "110136"),
        ("token.create", "110113", "110137"),
        ("endpoint.set", "110113", "110128"),
        ("access.refused", "110113", "110132"),
        ("audit.search", "110101", None),
    ],
)
def test_events_have_the_codes_of_the_standard(action, event, type_code):
    root = message(action=action)

    types = [each.get("csd-code") for each in root.iter("EventTypeCode")]
    assert root.find("EventIdentification/EventID").get("csd-code") == event
    assert types == [code for code in (type_code, action) if code]


def test_a_refusal_is_a_serious_failure_and_says_so():
    event = message(action="login", result="refused").find("EventIdentification")

    assert event.get("EventOutcomeIndicator") == "8"
    assert event.findtext("EventOutcomeDescription") == "refused"


def test_a_transfer_names_who_sent_and_who_received():
    for action, asking in (("dicomweb.retrieve", "110152"), ("dicomweb.store", "110153")):
        roles = [each.find("RoleIDCode").get("csd-code")
                 for each in message(action=action).iter("ActiveParticipant")]  # fmt: skip

        assert roles[0] == asking
        assert sorted(roles) == ["110152", "110153"]


def test_text_that_xml_cannot_carry_is_left_out():
    assert message(actor_name="li\x01.na\ud800").find("ActiveParticipant").get("UserID") == "li.na"


def test_the_command_writes_one_message_a_line(actor, tmp_path):
    request_context.begin(address="192.0.2.9")
    audit.record(actor, "study.export", study_instance_uid="1.2.3")
    audit.record("planner", "object.sweep", object_type="object", object_id="archive/x")
    request_context.end()
    path = tmp_path / "messages.xml"

    call_command("export_audit", "--format", "dicom", "--output", str(path))

    roots = [ElementTree.fromstring(line) for line in path.read_text().splitlines()]
    for root in roots:
        check(root)
    assert len(roots) == AuditEntry.objects.count() == 2
    assert roots[0].find("ActiveParticipant").get("NetworkAccessPointID") == "192.0.2.9"
