"""Reports of the archive: structured reports and PDF, real ones and hostile ones."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian, generate_uid

from common.documents.pdf import text_of_pdf
from common.events.models import OutboxEvent
from sharing.domain.structured_report import read_report
from sharing.events import StudyBecameRetrievable
from sharing.handlers import read_its_reports
from sharing.jobs import READ_REPORTS
from sharing.models import Report, ReportVersion
from sharing.services import archived_reports
from tests.support import archive
from tests.support.dicom_files import row

pytestmark = pytest.mark.django_db
STUDY = "1.2.826.0.1.3680043.8.498.77"


@pytest.fixture
def place(settings: Any, tmp_path: Path) -> Any:
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/store"
    settings.DATA_DIR = tmp_path / "data"
    return archive.make_institution("near")


def archived(place: Any, tmp_path: Path, *names: str) -> Any:
    """The study of these files of the collection, archived and read for its reports."""
    stored = archive.archive_files(place, [row(name).path for name in names], tmp_path=tmp_path)
    archived_reports.read_reports(study_id=stored[0].study.pk)
    return stored[0].study


def test_a_verified_structured_report_is_a_final_report_with_its_text(
    place: Any, tmp_path: Path
) -> None:
    study = archived(place, tmp_path, "pydicom/test_files/test-sr.dcm")

    version = ReportVersion.objects.get(report__study=study)
    assert (version.status, version.source, version.title) == ("final", "sr", "Diagnosis")
    assert version.verifier in {"Riesmeier Jörg", "Observer Verifying"}
    assert version.document_instance_uid == row("pydicom/test_files/test-sr.dcm").sop_instance_uid
    assert version.findings or version.impression


def test_one_that_nobody_verified_is_preliminary(place: Any, tmp_path: Path) -> None:
    study = archived(place, tmp_path, "pydicom/test_files/reportsi.dcm")

    version = ReportVersion.objects.get(report__study=study)
    assert version.status == "preliminary"
    assert version.reported_at.isoformat().startswith("2005-05-30T08:05:27")  # the province's 16:05
    assert "Enter text" in version.findings
    assert "Observation Context Mode" not in version.findings


@pytest.mark.parametrize(
    "name", ["dcmjs/sample-sr.dcm", "highdicom/sr_document.dcm", "cornerstone/ctimage.dcm"]
)
def test_measurements_and_pictures_are_no_report(place: Any, tmp_path: Path, name: str) -> None:
    archived(place, tmp_path, name)

    assert not Report.objects.exists()


def test_reading_again_changes_nothing(place: Any, tmp_path: Path) -> None:
    study = archived(place, tmp_path, "pydicom/test_files/test-sr.dcm")

    assert archived_reports.read_reports(study_id=study.pk) == 0
    assert ReportVersion.objects.count() == 1


def test_a_study_that_is_archived_is_read_for_its_reports(
    place: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(READ_REPORTS, "enqueue", lambda **ids: asked.append(ids))

    read_its_reports(StudyBecameRetrievable(study_id=7, certificate_number=1))

    assert asked == [{"study_id": 7}]
    assert not OutboxEvent.objects.exists()


def test_studies_that_were_archived_before_are_read_by_a_command(
    place: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["pydicom/test_files/test-sr.dcm", "cornerstone/ctimage.dcm"]
    archive.archive_files(place, [row(name).path for name in names], tmp_path=tmp_path)

    call_command("read_reports")
    call_command("read_reports")

    assert capsys.readouterr().out.splitlines() == [
        "2 studies read, 1 new reports.",
        "2 studies read, 0 new reports.",
    ]


def coded(meaning: str, value: str = "X", scheme: str = "99T") -> Sequence:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return Sequence([code])


def item(kind: str, name: Sequence, relation: str = "CONTAINS", **values: Any) -> Dataset:
    made = Dataset()
    made.RelationshipType, made.ValueType, made.ConceptNameCodeSequence = relation, kind, name
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def base(sop_class: str, **values: Any) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = sop_class
    made.SOPClassUID, made.SOPInstanceUID = sop_class, values.pop("uid", None) or generate_uid()
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID = STUDY, values.pop("series", f"{STUDY}.1")
    made.SpecificCharacterSet, made.PatientName, made.PatientID = "ISO_IR 192", "张^三", "P1"
    made.ContentDate, made.ContentTime = "20260301", "101500"
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def structured(*items: Dataset, **values: Any) -> Dataset:
    made = base("1.2.840.10008.5.1.4.1.1.88.33", Modality="SR", **values)
    made.ValueType, made.ConceptNameCodeSequence = "CONTAINER", coded("Radiology Report", "11528-7")
    made.CompletionFlag = "COMPLETE"
    made.VerificationFlag = values.get("VerificationFlag", "VERIFIED")
    made.ContentSequence = Sequence(items)
    return made


def numbered(number: str, unit: str) -> Sequence:
    measured = Dataset()
    measured.NumericValue = number
    measured.MeasurementUnitsCodeSequence = coded(unit, unit, "UCUM")
    return Sequence([measured])


def store(place: Any, tmp_path: Path, *made: Dataset) -> Any:
    paths = []
    for number, dataset in enumerate(made):
        path = tmp_path / f"made-{dataset.SOPInstanceUID}-{number}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    stored = archive.archive_files(place, paths, tmp_path=tmp_path)
    archived_reports.read_reports(study_id=stored[0].study.pk)
    return stored[0].study


def test_sections_and_every_usual_type_of_value_become_text(place: Any, tmp_path: Path) -> None:
    findings = item(
        "CONTAINER",
        coded("影像所见", "121070", "DCM"),
        ContentSequence=Sequence(
            [
                item("TEXT", coded("Finding", "121071", "DCM"), TextValue="右肺上叶结节。"),
                item("NUM", coded("Diameter"), MeasuredValueSequence=numbered("8.5", "mm")),
                item("CODE", coded("Laterality"), ConceptCodeSequence=coded("右")),
                item("DATE", coded("Compared with"), Date="20250101"),
                item("TIME", coded("At"), Time="0930"),
                item("DATETIME", coded("Injected"), DateTime="20260301100000"),
                item("PNAME", coded("Told to"), PersonName="Li^Na=李^娜"),
                item("UIDREF", coded("Of"), UID="1.2.3"),
            ]
        ),
    )
    impression = item(
        "CONTAINER",
        coded("Impressions", "121072", "DCM"),
        ContentSequence=Sequence(
            [item("TEXT", coded("Impression", "121073", "DCM"), TextValue="建议复查。")]
        ),
    )
    observer = item(
        "PNAME",
        coded("Person Observer Name", "121008", "DCM"),
        "HAS OBS CONTEXT",
        PersonName="王^五",
    )

    study = store(place, tmp_path, structured(observer, findings, impression))

    version = ReportVersion.objects.get(report__study=study)
    assert version.impression.strip() == "建议复查。"
    assert [line.strip() for line in version.findings.splitlines()] == [
        "右肺上叶结节。",
        "Diameter: 8.5 mm",
        "Laterality: 右",
        "Compared with: 20250101",
        "At: 0930",
        "Injected: 20260301100000",
        "Told to: 李 娜",
    ]
    assert version.author == "王 五"


def test_a_document_that_replaces_another_is_a_further_version(place: Any, tmp_path: Path) -> None:
    text = coded("Finding", "121071", "DCM")
    first = structured(item("TEXT", text, TextValue="未见异常。"))
    store(place, tmp_path, first)
    reference, series, before = Dataset(), Dataset(), Dataset()
    reference.ReferencedSOPClassUID = first.SOPClassUID
    reference.ReferencedSOPInstanceUID = first.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedSOPSequence = f"{STUDY}.1", Sequence([reference])
    before.StudyInstanceUID, before.ReferencedSeriesSequence = STUDY, Sequence([series])
    second = structured(
        item("TEXT", text, TextValue="右肺结节。"),
        series=f"{STUDY}.2",
        ContentTime="113000",
        PredecessorDocumentsSequence=Sequence([before]),
    )

    store(place, tmp_path, second)

    (report,) = Report.objects.all()
    told = [(each.status, each.findings, each.is_current) for each in report.versions.all()]
    assert told == [("final", "未见异常。", False), ("amended", "右肺结节。", True)]


def test_a_tree_that_never_ends_is_cut() -> None:
    def text(value: str) -> dict[str, Any]:
        return {"0040A040": {"Value": ["TEXT"]}, "0040A160": {"Value": [value]}}

    deep = text("inmost")
    for _ in range(60):
        deep = {"0040A040": {"Value": ["CONTAINER"]}, "0040A730": {"Value": [deep]}}
    wide = [text("x" * 100) for _ in range(30_000)]

    told = read_report({"0040A730": {"Value": [deep, *wide]}})

    assert len(told.findings) <= 32_000
    assert "inmost" not in told.findings


@pytest.mark.parametrize("odd", [None, 7, "text", [], [None], [{"0040A730": 7}], {"Value": [[]]}])
def test_a_tree_of_another_form_has_no_text(odd: Any) -> None:
    assert read_report({"0040A730": odd, "0040A043": odd, "0040A073": odd}).findings == ""


def made_pdf(*parts: bytes) -> bytes:
    """A file of these objects, the first of which is the catalogue."""
    out, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % each for each in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(parts) + 1)
    end = b"trailer<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF" % (len(parts) + 1, len(out))
    return out + head + table + end


def stream(data: bytes, more: bytes = b"") -> bytes:
    return b"<</Length %d%s>>stream\n%s\nendstream" % (len(data), more, data)


def pdf(text: str) -> bytes:
    """A page with this text in a font of glyphs that only its own map turns into characters."""
    glyphs = {sign: number for number, sign in enumerate(dict.fromkeys(text), 1)}
    map_ = "".join(f"<{number:04X}> <{ord(sign):04X}>\n" for sign, number in glyphs.items())
    cmap = (
        "/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange <0000> <FFFF> "
        f"endcodespacerange {len(glyphs)} beginbfchar\n{map_}endbfchar endcmap end"
    )
    shown = "".join(f"{glyphs[sign]:04X}" for sign in text)
    return made_pdf(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R"
        b"/Resources<</Font<</F 5 0 R>>>>>>",
        stream(f"BT /F 12 Tf 72 720 Td <{shown}> Tj ET".encode()),
        b"<</Type/Font/Subtype/Type0/BaseFont/Any/Encoding/Identity-H/ToUnicode 6 0 R"
        b"/DescendantFonts[<</Type/Font/Subtype/CIDFontType2/BaseFont/Any"
        b"/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>>>]>>",
        stream(cmap.encode()),
    )


def encapsulated(data: bytes, **values: Any) -> Dataset:
    made = base(EncapsulatedPDFStorage, Modality="DOC", **values)
    made.DocumentTitle, made.MIMETypeOfEncapsulatedDocument = "影像报告", "application/pdf"
    made.EncapsulatedDocument, made.EncapsulatedDocumentLength = (
        data + b"\0" * (len(data) % 2),
        len(data),
    )
    return made


def test_a_pdf_is_a_report_whose_text_is_found(place: Any, tmp_path: Path) -> None:
    study = store(place, tmp_path, encapsulated(pdf("胸部CT：右肺结节8mm")))

    version = ReportVersion.objects.get(report__study=study)
    assert (version.status, version.source, version.title) == ("final", "pdf", "影像报告")
    assert version.document_type == "application/pdf"
    assert "右肺结节8mm" in version.findings


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"%PDF-1.7\n",
        b"MZ\x90\x00 no pdf",
        b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 1 0 R>>endobj trailer<</Root 1 0 R>>",
        b"%PDF-1.4\n" + b"[" * 100_000,
    ],
)
def test_what_is_no_sound_pdf_is_kept_and_has_no_text(
    place: Any, tmp_path: Path, data: bytes
) -> None:
    store(place, tmp_path, encapsulated(data or b"\0\0"))

    version = ReportVersion.objects.get()
    assert version.findings == ""
    assert version.document_instance_uid


def bomb() -> bytes:
    """A page whose content is a gigabyte when it is unpacked."""
    packer = zlib.compressobj(9)
    blanks = b"0 " * 2**19
    packed = b"".join(packer.compress(blanks) for _ in range(1024)) + packer.flush()
    return made_pdf(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>",
        stream(packed, b"/Filter/FlateDecode"),
    )


def test_a_pdf_that_unpacks_without_end_harms_nobody() -> None:
    assert text_of_pdf(bomb()) == ""
