"""The Store Instances Response (PS3.18 §10.5.3 and Annex I): what became of each instance, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sharing.services.storing import Outcome

OK, ACCEPTED, BAD_REQUEST, CONFLICT = 200, 202, 400, 409
_COMMENT_CHARS = 64  # of an LO


def status_of(outcomes: Sequence[Outcome]) -> int:
    """200 all stored; 202 some; 409 none, for a reason of their own; 400 nothing that could be read."""
    stored = sum(outcome.stored for outcome in outcomes)
    if stored:
        return OK if stored == len(outcomes) else ACCEPTED
    named = any(outcome.sop_instance_uid for outcome in outcomes)
    return CONFLICT if named else BAD_REQUEST


def store_response(outcomes: Sequence[Outcome], *, root_url: str) -> dict[str, Any]:
    """The response as DICOM JSON. ErrorComment (0000,0902) says in words what the code means."""
    stored = [outcome for outcome in outcomes if outcome.stored]
    failed = [outcome for outcome in outcomes if not outcome.stored and outcome.sop_instance_uid]
    others = [
        outcome for outcome in outcomes if not outcome.stored and not outcome.sop_instance_uid
    ]
    body: dict[str, Any] = {}
    studies = {outcome.study_instance_uid for outcome in stored}
    if len(studies) == 1:
        body["00081190"] = {"vr": "UR", "Value": [f"{root_url}/studies/{studies.pop()}"]}
    if failed:
        items = [_names(each) | _why(each) for each in failed]
        body["00081198"] = {"vr": "SQ", "Value": items}
    if stored:
        items = [_names(each) | _where(each, root_url) for each in stored]
        body["00081199"] = {"vr": "SQ", "Value": items}
    if others:
        body["0008119A"] = {"vr": "SQ", "Value": [_why(each) for each in others]}
    return body


def _names(outcome: Outcome) -> dict[str, Any]:
    return {
        "00081150": {"vr": "UI", "Value": [outcome.sop_class_uid]},
        "00081155": {"vr": "UI", "Value": [outcome.sop_instance_uid]},
    }


def _why(outcome: Outcome) -> dict[str, Any]:
    return {
        "00000902": {"vr": "LO", "Value": [outcome.text[:_COMMENT_CHARS]]},
        "00081197": {"vr": "US", "Value": [int(outcome.failure or 0)]},
    }


def _where(outcome: Outcome, root_url: str) -> dict[str, Any]:
    url = (
        f"{root_url}/studies/{outcome.study_instance_uid}/series/{outcome.series_instance_uid}"
        f"/instances/{outcome.sop_instance_uid}"
    )
    return {"00081190": {"vr": "UR", "Value": [url]}}
