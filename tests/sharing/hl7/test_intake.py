"""Every message is kept, acted on once, and answered when that is in the database; nobody sends for another."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from common.hl7.framing import Frame
from common.hl7.server import Peer
from common.privacy import decrypt
from sharing.errors import SenderInvalid
from sharing.models import Encounter, HospitalMessage, LocalPatient, MessageSender
from sharing.services.hl7 import acting, intake, replaying, senders
from tests.sharing.hl7.conftest import HERE, Hospital

PID = "PID|1||P77^^^HIS^MR||张^三||20000101|M"
NOW = timezone.localtime().strftime("%Y%m%d%H%M%S")
PV1 = f"PV1|1|O{'|' * 17}V1{'|' * 25}{NOW}"


def test_the_answer_names_the_message_and_turns_the_addresses_round(hospital: Hospital) -> None:
    answer = hospital.send("ADT^A28", PID, control="X-1").answer

    assert answer.needed("MSA").text(2) == "X-1"
    head = answer.header
    assert [head.text(at) for at in (3, 5, 6)] == ["IMAGING", "HIS", "east"]
    assert (head.text(9, 1), head.text(9, 2), head.text(12)) == ("ACK", "A28", "2.5")


def test_the_message_is_kept_as_it_came_and_encrypted(hospital: Hospital) -> None:
    data = hospital.bytes("ADT^A28", PID)
    row = hospital.send_bytes(data).row

    assert "张三".encode() not in bytes(row.body)
    assert b"P77" not in bytes(row.body)
    assert decrypt(bytes(row.body), context=intake.CONTEXT) == data
    assert (row.state, row.outcome, row.tries) == ("done", "patient", 1)


def test_the_same_message_again_is_answered_as_before_and_done_once(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    did: list[str] = []
    monkeypatch.setitem(
        acting.ACTS, ("ADT", "A28"), lambda message, sender: did.append("") or "patient"
    )
    for moment in ("20260101080000", "20260101080000", "20260101080500"):
        sent = hospital.send("ADT^A28", PID, control="SAME", at=moment)
        assert sent.code == "AA"

    assert len(did) == 1
    assert HospitalMessage.objects.count() == 1


def test_a_control_number_that_is_used_again_for_something_else_is_a_new_message(
    hospital: Hospital,
) -> None:
    """Systems begin to count anew; what they send must not be lost for that."""
    hospital.send("ADT^A28", PID, control="1")
    hospital.send("ADT^A28", PID.replace("P77", "P78"), control="1")

    assert LocalPatient.objects.count() == 2


def test_a_message_that_failed_is_tried_again_when_it_is_sent_again(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = hospital.bytes("ADT^A28", PID)
    with monkeypatch.context() as broken:
        broken.setitem(acting.ACTS, ("ADT", "A28"), _fault)
        assert hospital.send_bytes(data).code == "AE"

    assert hospital.send_bytes(data).code == "AA"
    row = HospitalMessage.objects.get()
    assert (row.state, row.tries, row.error_code) == ("done", 2, "")


def _fault(*_: Any) -> str:
    raise RuntimeError("张三 990101200001010014")


def test_a_fault_of_ours_is_kept_and_its_text_goes_nowhere(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(acting.ACTS, ("ADT", "A28"), _fault)

    sent = hospital.send("ADT^A28", PID)

    assert (sent.code, sent.condition) == ("AE", "207")
    assert sent.row.error_code == "hl7-fault"
    assert "张" not in sent.row.error_text
    assert "张" not in str(sent.answer)


def test_when_the_database_goes_away_in_the_middle_the_sender_is_told_to_come_again(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> str:
        raise OperationalError("the connection is lost")

    data = hospital.bytes("ADT^A28", PID)
    with monkeypatch.context() as broken:
        broken.setitem(acting.ACTS, ("ADT", "A28"), gone)
        assert hospital.send_bytes(data).code == "AR"
    assert HospitalMessage.objects.get().state == "received"

    assert hospital.send_bytes(data).code == "AA"


def test_what_a_crash_left_unfinished_is_finished_later(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as crashed:
        crashed.setattr(intake, "run", _die)
        with pytest.raises(SystemExit):
            intake.take(Frame(hospital.bytes("ADT^A04", PID, PV1)), HERE)
    assert HospitalMessage.objects.get().state == "received"

    assert intake.finish_received() == 0  # it may still be in somebody's hand
    assert intake.finish_received(older_than_s=0) == 1

    assert HospitalMessage.objects.get().state == "done"
    assert Encounter.objects.get().visit_number == "V1"


def _die(**_: Any) -> None:
    raise SystemExit


def test_a_message_can_be_replayed(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setitem(acting.ACTS, ("ADT", "A28"), _fault)
        row = hospital.send("ADT^A28", PID).row

    assert replaying.replay(actor="test", message_id=row.pk).accepted
    row.refresh_from_db()
    assert (row.state, row.tries) == ("done", 2)
    assert LocalPatient.objects.get().number == "P77"


@pytest.mark.parametrize(
    ("change", "code", "condition"),
    [
        (("ADT^A28", "DFT^P03"), "AR", "200"),
        (("|P|2.5", "|T|2.5"), "AR", "202"),
        (("|P|2.5", "|P|3.0"), "AR", "203"),
        (("|SOME-ID|", "||"), "AR", "101"),
    ],
)
def test_what_is_not_for_us_is_rejected_with_its_condition(
    hospital: Hospital, change: tuple[str, str], code: str, condition: str
) -> None:
    data = hospital.bytes("ADT^A28", PID, control="SOME-ID").decode().replace(*change)

    sent = hospital.send_bytes(data.encode())

    assert (sent.code, sent.condition) == (code, condition)
    assert not LocalPatient.objects.exists()


def test_an_event_that_nothing_depends_on_is_accepted_and_ignored(hospital: Hospital) -> None:
    sent = hospital.send("ADT^A60", PID)

    assert (sent.code, sent.row.state) == ("AA", "ignored")


def test_a_message_that_is_too_long_is_rejected_by_what_is_held_of_it(hospital: Hospital) -> None:
    sent = hospital.send_bytes(hospital.bytes("ADT^A28", control="LONG"), whole=False)

    assert sent.code == "AR"
    assert sent.answer.needed("MSA").text(2) == "LONG"
    assert not HospitalMessage.objects.exists()


@pytest.mark.parametrize("data", [b"", b"hello", b"MSH|^~\\&", b"MSH|^~\\&|||||||||||\r"])
def test_what_is_no_message_is_rejected_and_not_kept(hospital: Hospital, data: bytes) -> None:
    assert hospital.send_bytes(data).code == "AR"
    assert not HospitalMessage.objects.exists()


@pytest.mark.parametrize(
    ("conditions", "good", "bad"),
    [
        ("AL|NE", "CA", "CR"),
        ("NE|NE", "none", "none"),
        ("ER|NE", "none", "CR"),
        ("SU|AL", "CA", "none"),
    ],
)
def test_in_enhanced_mode_what_is_kept_is_accepted(
    hospital: Hospital, conditions: str, good: str, bad: str
) -> None:
    assert hospital.send("ADT^A28", PID, more=conditions).code == good
    stranger = Peer("10.9.9.9")
    assert hospital.send("ADT^A28", PID, more=conditions, peer=stranger).code == bad


def test_a_message_from_another_address_is_refused_whatever_it_says(hospital: Hospital) -> None:
    sent = hospital.send("ADT^A28", PID, peer=Peer("10.0.0.9"))

    assert (sent.code, sent.location) == ("AR", "MSH-3")
    assert not HospitalMessage.objects.exists()


def test_nobody_registers_patients_for_another_institution_by_its_name(make) -> None:
    """Both are known by their addresses; the one that takes the other's name is nobody."""
    east = make("east", networks=("10.1.0.0/16",))
    west = make("west", networks=("10.2.0.0/16",))
    forged = east.bytes("ADT^A28", PID)

    assert west.send_bytes(forged, peer=Peer("10.2.0.5")).code == "AR"
    assert east.send_bytes(forged, peer=Peer("10.1.0.5")).code == "AA"
    assert LocalPatient.objects.get().institution_id == east.institution.pk


def test_a_certificate_is_needed_where_one_is_registered(make) -> None:
    east = make("east", certificate="ab" * 32)

    assert east.send("ADT^A28", PID).code == "AR"
    assert east.send("ADT^A28", PID, peer=Peer("127.0.0.1", "cd" * 32)).code == "AR"
    assert east.send("ADT^A28", PID, peer=Peer("10.0.0.1", "ab" * 32)).code == "AR"
    assert east.send("ADT^A28", PID, peer=Peer("127.0.0.1", "ab" * 32)).code == "AA"


def test_the_narrower_network_wins_and_two_alike_are_nobody(make) -> None:
    wide = make("wide", networks=("10.0.0.0/8",), facility="")
    narrow = make("narrow", networks=("10.3.0.0/16",), facility="")
    data = wide.bytes("ADT^A28", PID)

    assert wide.send_bytes(data, peer=Peer("10.3.0.7")).code == "AA"
    assert LocalPatient.objects.get().institution_id == narrow.institution.pk
    make("same", networks=("10.3.0.0/16",), facility="")
    assert wide.send_bytes(data, peer=Peer("10.3.0.7")).code == "AR"


def test_an_account_that_is_no_integrator_any_more_sends_nothing(hospital: Hospital) -> None:
    hospital.account.memberships.update(valid_until=timezone.localdate())

    assert hospital.send("ADT^A28", PID).code == "AR"


def test_an_institution_that_is_suspended_sends_nothing(hospital: Hospital) -> None:
    hospital.institution.state, hospital.institution.state_reason = "suspended", "breach"
    hospital.institution.save()

    assert hospital.send("ADT^A28", PID).code == "AR"


def test_a_sender_that_was_ended_is_refused(hospital: Hospital) -> None:
    senders.end_sender(actor="test", sender_id=hospital.sender.pk)

    assert hospital.send("ADT^A28", PID).code == "AR"


@pytest.mark.parametrize(
    "options",
    [
        {"networks": ()},
        {"networks": ("ten",)},
        {"networks": ("10.0.0.1/8",)},
        {"certificate": "xyz"},
        {"character_set": "KLINGON"},
        {"application": " "},
    ],
)
def test_a_sender_that_could_be_anybody_is_not_registered(
    hospital: Hospital, options: dict[str, Any]
) -> None:
    given: dict[str, Any] = {"application": "RIS", "networks": ("10.0.0.0/8",), **options}

    with pytest.raises(SenderInvalid):
        senders.add_sender(
            actor="test",
            institution_code="east",
            account=hospital.account,
            **given,
        )
    assert MessageSender.objects.count() == 1
