"""AuditEvent: one entry of the trail, for those who review it (R4 AuditEvent; IHE BALP takes the same codes)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import Q

from common import audit
from common.audit import search as trail
from common.audit.actions import Action, action_of, codes_where
from common.audit.dicom_message import outcome_of
from common.audit.events import DCM
from common.audit.models import AuditEntry
from common.errors import NotFound
from common.fhir.errors import FHIRRefusal
from common.fhir.resources import Context, Page, Parameter, Resource, ResourceType
from common.fhir.values import (
    NOTHING,
    clean,
    id_of_code,
    instants,
    period,
    plain,
    reference_code,
    reference_id,
    text,
    token,
)
from sharing.fhir import systems
from sharing.fhir.patient import row_id
from sharing.models import Study
from sharing.selectors import audit_trail as reads

ACCOUNT = "urn:x-province:account"
ACTION = "urn:x-province:audit-action"
_OUTCOME = "http://hl7.org/fhir/audit-event-outcome"
_CRUD = "http://hl7.org/fhir/audit-event-action"
_ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_OBJECT_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_SOURCE_TYPE = "http://terminology.hl7.org/CodeSystem/security-source-type"
_OID = "urn:oid:"
_IP_ADDRESS = "2"
_RESULTS = ("success", "refused", "not-found", "failure")
_IDENTIFIER = frozenset({"identifier"})
_MODIFIERS = frozenset({"exact"})


def _own_id(_: Context, value: str, __: str) -> Q:
    row = row_id(token(value).code)
    return NOTHING if row is None else Q(pk=row)


def _action(_: Context, value: str, __: str) -> Q:
    asked = token(value)
    if asked.system not in (None, _CRUD):
        return NOTHING
    return Q(action__in=codes_where(cruds=[asked.code])) if asked.code else Q(pk__isnull=False)


def _type(_: Context, value: str, __: str) -> Q:
    asked = token(value)
    if asked.system not in (None, systems.DCM):
        return NOTHING
    return Q(action__in=codes_where(event_codes=[asked.code])) if asked.code else NOTHING


def _subtype(_: Context, value: str, __: str) -> Q:
    asked = token(value)
    return Q(action=asked.code) if asked.system in (None, ACTION) and asked.code else NOTHING


def _outcome(_: Context, value: str, __: str) -> Q:
    asked = token(value)
    if asked.system not in (None, _OUTCOME):
        return NOTHING
    named = [result for result in _RESULTS if outcome_of(result) == asked.code]
    return Q(result__in=named) if named else NOTHING


def _agent(context: Context, value: str, modifier: str) -> Q:
    """``Organization/{code}``: where the person works; ``:identifier``: the account."""
    if modifier == "identifier":
        asked = token(value)
        if asked.system not in (None, ACCOUNT) or not asked.code:
            return NOTHING
        account = reads.account_id(asked.code)
        return Q(actor_id=account) if account else Q(actor_id=None, actor_name=asked.code)
    code = reference_code(value, "Organization", base=context.base)
    return Q(actor_institution_code=code) if code else NOTHING


def _patient(context: Context, value: str, modifier: str) -> Q:
    if modifier == "identifier":
        asked = token(value)
        key = asked.code if asked.system in (None, systems.PERSON_KEY) else ""
    else:
        key = reference_id(value, "Patient", base=context.base)
    try:
        person = reads.get_person(scope=reads.require_scope(context.actor), key=key)
    except NotFound:
        return NOTHING
    return reads.condition_of_person(person)


def _entity(context: Context, value: str, modifier: str) -> Q:
    """A study, by its resource or by its UID; or a patient."""
    if modifier == "identifier":
        asked = token(value)
        uid = asked.code.removeprefix(_OID)
        known = asked.system in (None, systems.DICOM_UID) and uid
        return Q(study_instance_uid=uid) if known else NOTHING
    if "Patient/" in value:
        return _patient(context, value, "")
    row = row_id(reference_id(value, "ImagingStudy", base=context.base))
    study = Study.objects.filter(pk=row or 0).first()
    if study is None:
        return NOTHING
    return Q(study_instance_uid=study.study_instance_uid, institution_id=study.institution_id)


class AuditEvents(ResourceType):
    """Entries that the actor may review: of the province, or of the own institution."""

    name = "AuditEvent"
    parameters = (
        Parameter("_id", "token", _own_id, "Resource-id"),
        Parameter(
            "date", "date", lambda _, value, __: instants("at", period(value)), "AuditEvent-date"
        ),
        Parameter("action", "token", _action, "AuditEvent-action"),
        Parameter(
            "agent",
            "reference",
            _agent,
            "AuditEvent-agent",
            modifiers=_IDENTIFIER,
            documentation="The organization the person works at, or :identifier with the account",
        ),
        Parameter(
            "agent-name",
            "string",
            lambda _, value, modifier: text("actor_name", value, modifier),
            "AuditEvent-agent-name",
            modifiers=_MODIFIERS,
        ),
        Parameter(
            "address",
            "string",
            lambda _, value, __: Q(address=plain(value)),
            "AuditEvent-address",
            documentation="The whole IP address",
        ),
        Parameter("entity", "reference", _entity, "AuditEvent-entity", modifiers=_IDENTIFIER),
        Parameter("outcome", "token", _outcome, "AuditEvent-outcome"),
        Parameter("patient", "reference", _patient, "AuditEvent-patient", modifiers=_IDENTIFIER),
        Parameter("subtype", "token", _subtype, "AuditEvent-subtype"),
        Parameter("type", "token", _type, "AuditEvent-type"),
    )
    documentation = "For the commission, and for administrators about their own institution"

    def search(self, context: Context, condition: Q, *, after: str, size: int) -> Page:
        scope = reads.require_scope(context.actor)
        try:
            page = trail.page_of(scope.branches(), condition, after=after, size=size)
        except trail.BadCursor as error:
            raise FHIRRefusal("The link is not one of ours: search again.") from error
        return Page([resource(each) for each in page.entries], page.following)

    def count(self, context: Context, condition: Q) -> int:
        scope = reads.require_scope(context.actor)
        return trail.count_of(scope.branches(), condition)

    def read(self, context: Context, resource_id: str) -> Resource:
        scope = reads.require_scope(context.actor)
        row = row_id(resource_id)
        if row is None:
            raise NotFound("There is no such entry.")
        found = reads.get_entry(scope=scope, entry_id=row)
        audit.record_view(
            context.actor, "audit.view", found, purpose="fhir", person_key=found.person_key
        )
        return resource(found)

    def load(self, context: Context, ids: Collection[str]) -> list[Resource]:
        scope = reads.scope_of(context.actor)
        rows = [row for each in ids if (row := row_id(each)) is not None]
        found = trail.page_of(scope.branches(), Q(pk__in=rows), size=len(rows)) if scope else None
        return [resource(each) for each in found.entries] if found else []

    def note_search(self, context: Context) -> None:
        audit.record_view(context.actor, "audit.search", object_type="audit-trail", purpose="fhir")


def resource(entry: AuditEntry) -> Resource:
    """An entry as FHIR has it."""
    action = action_of(entry.action)
    codes = [each for each in (action.event.type,) if each is not None]
    found: Resource = {
        "resourceType": "AuditEvent",
        "id": str(entry.pk),
        "type": _coding(action),
        "subtype": [
            *(
                {"system": systems.DCM, "code": each.value, "display": each.meaning}
                for each in codes
            ),
            {"system": ACTION, "code": clean(entry.action) or "none"},
        ],
        "action": action.crud,
        "recorded": entry.at.isoformat(timespec="milliseconds"),
        "outcome": outcome_of(entry.result),
        "agent": _agents(entry),
        "source": {
            "observer": {"display": "Provincial imaging cloud"},
            "type": [{"system": _SOURCE_TYPE, "code": "4", "display": "Application Server"}],
        },
    }
    if entry.result != "success":
        found["outcomeDesc"] = clean(entry.result)
    if entry.purpose:
        found["purposeOfEvent"] = [{"text": clean(entry.purpose)}]
    if entities := _entities(entry):
        found["entity"] = entities
    return found


def _coding(action: Action) -> dict[str, Any]:
    code = action.event.code
    system = systems.DCM if code.scheme == DCM else ACTION
    return {"system": system, "code": code.value, "display": code.meaning}


def _agents(entry: AuditEntry) -> list[dict[str, Any]]:
    person: dict[str, Any] = {"requestor": True}
    name = clean(entry.actor_name)
    if name:
        person["who"] = {"identifier": {"system": ACCOUNT, "value": name}, "display": name}
        person["name"] = name
    if entry.actor_id is not None:
        person["altId"] = str(entry.actor_id)
    if entry.address:
        person["network"] = {"address": entry.address, "type": _IP_ADDRESS}
    if entry.basis:
        person["policy"] = [f"urn:x-province:basis:{entry.basis}"]
    agents = [person]
    if entry.actor_institution_code:
        place = {
            "reference": f"Organization/{id_of_code(entry.actor_institution_code)}",
            "display": clean(entry.actor_institution_name) or entry.actor_institution_code,
        }
        agents.append(
            {
                "type": {"coding": [{"system": _PARTICIPATION, "code": "CST"}]},
                "who": place,
                "requestor": False,
            }
        )
    return agents


def _entities(entry: AuditEntry) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if entry.person_key:
        found.append(
            {
                "what": {
                    "reference": f"Patient/{entry.person_key}",
                    "identifier": {"system": systems.PERSON_KEY, "value": entry.person_key},
                },
                "type": {"system": _ENTITY_TYPE, "code": "1", "display": "Person"},
                "role": {"system": _OBJECT_ROLE, "code": "1", "display": "Patient"},
            }
        )
    if entry.study_instance_uid:
        uid = f"{_OID}{entry.study_instance_uid}"
        found.append(
            {
                "what": {"identifier": {"system": systems.DICOM_UID, "value": uid}},
                "type": {"system": _ENTITY_TYPE, "code": "2", "display": "System Object"},
                "role": {"system": _OBJECT_ROLE, "code": "3", "display": "Report"},
            }
        )
    elif entry.object_type and not entry.person_key:
        found.append(
            {
                "type": {"system": _ENTITY_TYPE, "code": "4", "display": "Other"},
                "name": clean(f"{entry.object_type} {entry.object_id}"),
            }
        )
    if entry.count > 1 and found:
        found[0]["detail"] = [{"type": "count", "valueString": str(entry.count)}]
    return found
