"""The demo's order-entry system: it may send HL7 messages from this machine and launch, and has sent some."""

from __future__ import annotations

from contextlib import suppress

from django.utils import timezone

from common.accounts import people
from common.hl7.framing import Frame
from common.hl7.server import Peer
from hospitals import selectors as hospital_selectors
from sharing.errors import LaunchSystemInvalid
from sharing.selectors.messages import sender_exists
from sharing.services import launching
from sharing.services.hl7 import intake, senders

ACTOR = "demo"
ACCOUNT = "demo-integrator"
APPLICATION = "DEMO-HIS"
HERE = Peer("127.0.0.1")
# As its examinations name them: number, name, birth date, sex; class of the visit, department.
PATIENTS = (
    ("U20240017", "张^伟", "19680412", "M", "O", "呼吸内科门诊"),
    ("U20240233", "李^娜", "19851102", "F", "I", "神经外科"),
    ("U20240311", "欧阳^晓燕", "19920630", "F", "E", "急诊科"),
)


def seed(*, institution_code: str) -> None:
    """Register the system and let it send, once. What it sends goes the way of every message."""
    institution = hospital_selectors.get_institution(code=institution_code)
    account = people.get_person(username=ACCOUNT)
    if sender_exists(institution_id=institution.pk, application=APPLICATION):
        return
    senders.add_sender(
        actor=ACTOR,
        institution_code=institution_code,
        account=account,
        application=APPLICATION,
        networks=("127.0.0.0/8",),
    )
    with suppress(LaunchSystemInvalid):  # it launches already
        launching.add_system(actor=ACTOR, institution_code=institution_code, account=account)
    for number, message in enumerate(_messages()):
        intake.take(Frame(message.replace("CONTROL", f"DEMO{number:04}").encode()), HERE)


def _messages() -> list[str]:
    now = timezone.localtime().strftime("%Y%m%d%H%M%S")
    found = []
    for at, (number, name, born, sex, kind, department) in enumerate(PATIENTS, start=1):
        pid = f"PID|1||{number}^^^HIS^MR||{name}^^^^^L^I||{born}|{sex}"
        pv1 = f"PV1|1|{kind}|{department}||||D{at}^李^医生{'|' * 12}DEMO-V{at}{'|' * 25}{now}"
        orc = f"ORC|NW|DEMO-P{at}{'|' * 7}{now}|||D{at}^李^医生"
        obr = f"OBR|1|DEMO-P{at}||CT01^胸部CT平扫{'|' * 14}DEMO-A{at}{'|' * 6}CT"
        found.append(_message("ADT^A04", now, f"EVN|A04|{now}", pid, pv1))
        found.append(_message("ORM^O01", now, pid, pv1, orc, obr))
    # One that fails, so that the page shows how: the sex is in no table.
    wrong = "PID|1||HIS0004^^^HIS^MR||孙^悦^^^^^L^I||19990101|Q"
    found.append(_message("ADT^A28", now, f"EVN|A28|{now}", wrong))
    return found


def _message(kind: str, now: str, *lines: str) -> str:
    head = f"MSH|^~\\&|{APPLICATION}||IMAGING||{now}||{kind}|CONTROL|P|2.5||||||UNICODE UTF-8"
    return "\r".join((head, *lines, ""))
