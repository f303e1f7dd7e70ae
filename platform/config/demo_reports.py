"""Reports of the demo's studies, sent before the studies are there: each is joined when its study is pulled."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.utils import timezone

from hospitals import selectors as hospital_selectors
from sharing.domain.report import ReportContent, ReportStatus
from sharing.services import reports

ACTOR = "demo"
UNIVERSITY, COUNTY = "jcdx-hospital", "yunxi-county"


@dataclass(frozen=True)
class Told:
    """One version of a report on the study with this accession number."""

    institution: str
    accession_number: str
    patient_number: str
    status: ReportStatus
    at: tuple[int, int, int, int, int]
    title: str
    findings: str
    impression: str
    author: str
    verifier: str = ""


REPORTS = (
    Told(
        UNIVERSITY, "UCT240901", "U20240017", ReportStatus.PRELIMINARY, (2026, 9, 1, 11, 20), "胸部CT平扫",
        "胸廓对称，气管居中。右肺上叶尖段见一磨玻璃结节，大小约 6 mm × 5 mm。余肺野清晰。纵隔未见肿大淋巴结。"
        "心影不大。",
        "右肺上叶磨玻璃结节。",
        "陈立",
    ),
    Told(
        UNIVERSITY, "UCT240901", "U20240017", ReportStatus.FINAL, (2026, 9, 1, 14, 5), "胸部CT平扫",
        "胸廓对称，气管居中。右肺上叶尖段见一磨玻璃结节，大小约 6 mm × 5 mm，边界清。余肺野清晰。纵隔未见肿大淋巴结。"
        "心影不大。双侧胸腔未见积液。",
        "右肺上叶尖段磨玻璃结节，建议 6 个月后复查。",
        "陈立", "周敏",
    ),
    Told(
        UNIVERSITY, "UCT240901", "U20240017", ReportStatus.AMENDED, (2026, 9, 2, 9, 30), "胸部CT平扫",
        "胸廓对称，气管居中。右肺上叶尖段见一磨玻璃结节，大小约 8 mm × 6 mm，边界清。余肺野清晰。纵隔未见肿大淋巴结。"
        "心影不大。双侧胸腔未见积液。",
        "右肺上叶尖段磨玻璃结节（8 mm），建议 3 个月后复查。",
        "陈立", "周敏",
    ),
    Told(
        UNIVERSITY, "UMR240915", "U20240311", ReportStatus.FINAL, (2026, 9, 15, 17, 40), "颅脑MRI平扫",
        "双侧大脑半球对称，灰白质分界清。脑室系统不大，中线结构居中。脑实质内未见异常信号。",
        "颅脑MRI平扫未见明显异常。",
        "吴桐", "周敏",
    ),
    Told(
        UNIVERSITY, "UDX241002", "U20240233", ReportStatus.FINAL, (2026, 10, 2, 10, 15), "胸部正位DR",
        "双肺纹理清晰，未见实变影。心影大小形态正常。双侧膈面光滑，肋膈角锐利。",
        "胸部正位未见明显异常。",
        "吴桐", "陈立",
    ),
    Told(
        COUNTY, "CCT241020", "C10293", ReportStatus.PRELIMINARY, (2026, 10, 20, 16, 0), "胸部CT平扫",
        "左肺下叶见斑片状密度增高影，边缘模糊。余肺未见明显异常。纵隔淋巴结不大。",
        "左肺下叶炎症可能，请结合临床。",
        "刘海",
    ),
)  # fmt: skip


def seed() -> None:
    """Send them all; what is held already stays as it is."""
    for told in REPORTS:
        institution = hospital_selectors.get_institution(code=told.institution)
        at = dt.datetime(*told.at, tzinfo=timezone.get_default_timezone())
        if at > timezone.now():
            continue  # a machine whose clock is behind the demo's studies
        reports.receive_report(
            actor=ACTOR,
            institution_id=institution.pk,
            source=reports.Source.REST,
            accession_number=told.accession_number,
            report_number=f"R-{told.accession_number}",
            patient_number=told.patient_number,
            content=ReportContent(
                status=told.status,
                reported_at=at,
                title=told.title,
                findings=told.findings,
                impression=told.impression,
                author=told.author,
                verifier=told.verifier,
                verified_at=at if told.verifier else None,
            ),
        )
