"""ORM and OMI messages bring accession numbers, ORU messages reports, before or after the pictures."""

from __future__ import annotations

import pytest
from django.utils import timezone

from common.audit.models import AuditEntry
from sharing.models import LocalPatient, Order, Report, ReportVersion, Study
from sharing.selectors.orders import orders_of
from tests.sharing.hl7.conftest import Hospital

NOW = timezone.localtime().strftime("%Y%m%d%H%M%S")
PID = "PID|1||P77^^^HIS^MR||张^三||20000101|M"
UID = "1.2.826.0.1.3680043.8.498.77"


def orc(control: str = "NW", placer: str = "PL1", filler: str = "") -> str:
    return f"ORC|{control}|{placer}|{filler}||||^^^^^R||{NOW}|||D7^李^四"


def obr(*, placer: str = "PL1", filler: str = "", accession: str = "", status: str = "") -> str:
    fields = [""] * 36
    fields[0], fields[1], fields[2], fields[3] = "OBR", "1", placer, filler
    fields[4] = "CT01^胸部CT平扫^LOCAL"
    fields[18], fields[24], fields[25] = accession, "CT", status
    fields[22] = NOW
    fields[31] = "^咳嗽三周"
    fields[32] = "D8&王&五"
    return "|".join(fields)


def study(hospital: Hospital, accession: str = "A100", **values: object) -> Study:
    from sharing.services.assigning import assign_patient

    made = Study(
        institution=hospital.institution,
        study_instance_uid=UID,
        accession_number=accession,
        patient_id="P77",
        patient_name="Zhang^San",
        found_at=timezone.now(),
        **values,
    )
    assign_patient(made)
    made.save()
    return made


def test_an_order_joins_its_patient_at_once_and_its_study_when_that_comes(
    hospital: Hospital,
) -> None:
    sent = hospital.send("ORM^O01", PID, orc(), obr(accession="A100"))

    assert (sent.code, sent.row.outcome) == ("AA", "order")
    order = Order.objects.get()
    assert (order.patient.number, order.accession_number) == ("P77", "A100")
    assert (order.procedure_name, order.modality, order.reason) == ("胸部CT平扫", "CT", "咳嗽三周")
    assert (order.ordered_by, order.priority, order.state) == ("李四", "R", "ordered")
    found = study(hospital)
    assert orders_of(found) == [order]


def test_an_order_of_another_patient_is_none_of_a_study_with_its_number(
    hospital: Hospital,
) -> None:
    hospital.send("ORM^O01", PID.replace("P77", "P78"), orc(), obr(accession="A100"))

    assert orders_of(study(hospital)) == []


def test_the_accession_number_may_come_later_and_silence_takes_nothing_back(
    hospital: Hospital,
) -> None:
    hospital.send("ORM^O01", PID, orc(), obr())
    hospital.send("ORM^O01", PID, orc("SC", filler="F9"), obr(filler="F9", accession="A100"))
    hospital.send("ORM^O01", PID, orc("XO"), obr())

    order = Order.objects.get()
    assert (order.placer_number, order.filler_number, order.accession_number) == (
        "PL1",
        "F9",
        "A100",
    )


@pytest.mark.parametrize("control", ["CA", "OC", "DC"])
def test_an_order_is_cancelled(hospital: Hospital, control: str) -> None:
    hospital.send("ORM^O01", PID, orc(), obr(accession="A100"))
    hospital.send("ORM^O01", PID, orc(control), obr())

    assert Order.objects.get().state == "cancelled"


def test_an_order_of_version_2_5_1_names_accession_and_study_in_ipc(hospital: Hospital) -> None:
    ipc = f"IPC|A200|RP1|{UID}|SPS1|MR"

    assert hospital.send("OMI^O23", PID, orc(), obr(), ipc).code == "AA"

    order = Order.objects.get()
    assert (order.accession_number, order.study_instance_uid) == ("A200", UID)
    assert order.modality == "MR"


def test_several_orders_of_one_message_are_all_written(hospital: Hospital) -> None:
    hospital.send(
        "ORM^O01",
        PID,
        orc(placer="PL1"),
        obr(placer="PL1", accession="A1"),
        orc(placer="PL2"),
        obr(placer="PL2", accession="A2"),
    )

    assert set(Order.objects.values_list("accession_number", flat=True)) == {"A1", "A2"}


def test_an_order_never_moves_to_another_patient(hospital: Hospital) -> None:
    hospital.send("ORM^O01", PID, orc(), obr(accession="A100"))

    sent = hospital.send("ORM^O01", PID.replace("P77", "P78"), orc("XO"), obr())
    assert (sent.code, sent.condition, sent.location) == ("AE", "205", "ORC-2")
    sent = hospital.send(
        "ORM^O01", PID.replace("P77", "P78"), orc(placer="PL9"), obr(placer="PL9", accession="A100")
    )
    assert (sent.code, sent.location) == ("AE", "OBR-18")
    assert Order.objects.get().patient.number == "P77"
    assert not LocalPatient.objects.filter(number="P78").exists()


@pytest.mark.parametrize(
    ("lines", "location"),
    [
        ((PID,), "ORC"),
        ((PID, "ORC|NW", "OBR|1"), "ORC-2"),
        ((PID, orc("QQ"), obr()), "ORC-1"),
        ((PID, orc(), obr(), "ZDS|not a uid"), "ZDS-1"),
        ((PID, orc(), obr(accession="A" * 65)), "OBR-18"),
    ],
)
def test_a_wrong_order_is_named_by_its_field(
    hospital: Hospital, lines: tuple[str, ...], location: str
) -> None:
    sent = hospital.send("ORM^O01", *lines)

    assert (sent.code, sent.location) == ("AE", location)
    assert not Order.objects.exists()


FINDINGS = (
    "OBX|1|FT|59776-5^Findings^LN||双肺纹理清晰\\.br\\右上肺见小结节||||||F",
    "OBX|2|TX|59776-5^Findings^LN||直径约 5 \\T\\ 6 mm~边界清||||||F",
    "OBX|3|TX|19005-8^Impression^LN||右上肺小结节，建议随访\\F\\复查||||||F",
)


def test_a_report_in_several_lines_is_read_with_its_escapes(hospital: Hospital) -> None:
    held = study(hospital)

    sent = hospital.send("ORU^R01", PID, obr(accession="A100", filler="R1", status="F"), *FINDINGS)

    assert (sent.code, sent.row.outcome) == ("AA", "report")
    report = Report.objects.get()
    version = report.versions.get()
    assert report.study == held
    assert version.findings == "双肺纹理清晰\n右上肺见小结节\n直径约 5 & 6 mm\n边界清"
    assert version.impression == "右上肺小结节，建议随访|复查"
    assert (version.status, version.author, version.source) == ("final", "王五", "hl7")


@pytest.mark.parametrize(
    ("code", "status"), [("P", "preliminary"), ("F", "final"), ("C", "amended"), ("X", "cancelled")]
)
def test_the_result_status_is_the_reports(hospital: Hospital, code: str, status: str) -> None:
    hospital.send("ORU^R01", PID, obr(accession="A100", status=code), *FINDINGS)

    assert ReportVersion.objects.get().status == status


def test_without_a_status_of_the_order_that_of_the_lines_counts(hospital: Hospital) -> None:
    lines = [line.replace("||||||F", "||||||P") for line in FINDINGS[:1]] + list(FINDINGS[1:])
    hospital.send("ORU^R01", PID, obr(accession="A100"), *lines)

    assert ReportVersion.objects.get().status == "preliminary"


def test_chinese_headings_part_findings_from_impression(hospital: Hospital) -> None:
    lines = ["OBX|1|TX|1^影像所见||甲||||||F", "OBX|2|TX|2^诊断意见||乙||||||F"]
    hospital.send("ORU^R01", PID, obr(accession="A100", status="F"), *lines)

    version = ReportVersion.objects.get()
    assert (version.findings, version.impression) == ("甲", "乙")


def test_a_report_finds_its_study_by_the_number_of_its_order(hospital: Hospital) -> None:
    held = study(hospital)
    hospital.send("ORM^O01", PID, orc(filler="F9"), obr(filler="F9", accession="A100"))

    hospital.send("ORU^R01", PID, obr(placer="", filler="F9", status="F"), *FINDINGS)

    assert Report.objects.get().study == held


def test_a_report_that_comes_first_waits_for_its_study(hospital: Hospital) -> None:
    hospital.send("ORU^R01", PID, obr(accession="A100", status="F"), *FINDINGS)
    assert Report.objects.get().study is None

    held = study(hospital)
    assert Report.objects.get().study == held


def test_a_report_of_another_patients_study_is_refused(hospital: Hospital) -> None:
    study(hospital)

    sent = hospital.send(
        "ORU^R01", PID.replace("P77", "P78"), obr(accession="A100", status="F"), *FINDINGS
    )

    assert sent.code == "AE"
    assert sent.row.error_code == "report-not-of-this-study"
    assert not Report.objects.exists()


@pytest.mark.parametrize(
    ("lines", "location"),
    [
        ((PID,), "OBR"),
        ((PID, obr(accession="A100", status="F")), "OBX-5"),
        ((PID, obr(accession="A100", status="Z"), *FINDINGS), "OBR-25"),
        ((PID, obr(placer="", status="F"), *FINDINGS), "OBR-18"),
        ((PID, obr(accession="A1", status="F"), "OBX|1|TX|a||\\XFF\\||||||F"), "OBX-5"),
        ((obr(accession="A100", status="F"), *FINDINGS), "PID"),
    ],
)
def test_a_wrong_report_is_named_by_its_field(
    hospital: Hospital, lines: tuple[str, ...], location: str
) -> None:
    sent = hospital.send("ORU^R01", *lines)

    assert (sent.code, sent.location) == ("AE", location)
    assert not Report.objects.exists()


def test_what_a_message_did_is_in_the_audit_without_its_patient(hospital: Hospital) -> None:
    hospital.send("ORU^R01", PID, obr(accession="A100", status="F"), *FINDINGS)

    entry = AuditEntry.objects.get(action="hl7.done")
    assert entry.actor_name == hospital.account.username
    assert "张" not in str(entry.detail)
