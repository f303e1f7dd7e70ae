"""OHIF on this origin server in a real browser: what readers open, measure, save and find again."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from django.conf import settings as django_settings
from django.db import transaction
from django.test import Client
from pydicom.pixels import apply_modality_lut

from hospitals.models import Consortium, Institution, Membership
from sharing.models import Series
from sharing.permissions import forget_sights
from tests.support import archive as archives
from tests.support.dicom_files import dicom_root, row
from tests.support.fixtures import OrthancFactory
from tests.support.ohif import Viewer, install, likeness
from tests.support.pulling import MakeHospital, discover, run_due
from tests.support.services import Server

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
PHANTOM = "dcm_qa_ct/philips_phantom_std_brain_5mm"
HTJ2K = {"study_instance_uid": "1.2.826.9.1", "series_instance_uid": "1.2.826.9.1.1"}
Tab = Callable[..., Viewer]
Web = Callable[..., Server]


@pytest.fixture
def site(archive: Path, ohif_build: Path, settings: Any) -> None:
    """An archive of this test alone, and the viewer in its data directory."""
    install(ohif_build, Path(settings.DATA_DIR))


def reader_at(institution: Institution) -> str:
    """A radiologist's session."""
    forget_sights()
    user = archives.make_user(f"reader-{institution.code}")
    Membership.objects.create(
        user=user, institution=institution, role="radiologist", valid_from=dt.date(2020, 1, 1)
    )
    client = Client()
    client.force_login(user)
    return str(client.cookies[django_settings.SESSION_COOKIE_NAME].value)


def shown_by(path: Path, frame: int = 0) -> np.ndarray[Any, Any]:
    """The picture that the file holds, by its own window, in grey values."""
    dataset = pydicom.dcmread(path)
    pixels = dataset.pixel_array
    if dataset.get("NumberOfFrames", 1) > 1:
        pixels = pixels[frame]
    if dataset.SamplesPerPixel == 3:
        return np.asarray(pixels @ [0.299, 0.587, 0.114])
    values = np.asarray(apply_modality_lut(pixels, dataset)).astype(float)
    center, width = dataset.get("WindowCenter"), dataset.get("WindowWidth")
    if center is None:
        center, width = (values.max() + values.min()) / 2, np.ptp(values)
    middle, range_ = (float(np.ravel(each)[0]) for each in (center, width))
    return np.clip((values - middle) / range_ + 0.5, 0, 1) * 255


def htj2k_file(folder: Path) -> Path:
    """A real HTJ2K codestream of the collection; its file lacks the UIDs of study and series."""
    dataset = pydicom.dcmread(dicom_root() / "pydicom-data/htj2klossless_08_rgb.dcm")
    dataset.StudyInstanceUID = HTJ2K["study_instance_uid"]
    dataset.SeriesInstanceUID = HTJ2K["series_instance_uid"]
    dataset.Modality, dataset.PatientID, dataset.StudyDate = "OT", "HT-1", "20260301"
    path = folder / "htj2k.dcm"
    dataset.save_as(path)
    return path


def phantom(*numbers: int) -> list[Path]:
    return [row(f"{PHANTOM}/i{number}.dcm").path for number in numbers]


KINDS = {
    "ct": (f"{PHANTOM}/i150.dcm", "1.2.840.10008.1.2.1"),
    "enhanced-mr": ("dcm_qa_enh/siemens_xa10/6_1.dcm", "1.2.840.10008.1.2.1"),
    "us-multi-frame": ("pydicom/test_files/examples_ybr_color.dcm", "1.2.840.10008.1.2.4.50"),
    "jpeg-2000": ("cornerstone/ct1_j2kr.dcm", "1.2.840.10008.1.2.4.90"),
    "rle": ("nema-wg04/ct1_rle.dcm", "1.2.840.10008.1.2.5"),
}


@pytest.mark.orthanc
def test_each_kind_of_picture_pulled_from_orthanc_is_shown_as_it_is(
    site: None,
    make_hospital: MakeHospital,
    orthanc: OrthancFactory,
    web: Web,
    tab: Tab,
    tmp_path: Path,
) -> None:
    files = {name: row(path).path for name, (path, _) in KINDS.items()}
    files["htj2k"] = htj2k_file(tmp_path)
    syntaxes = {name: syntax for name, (_, syntax) in KINDS.items()} | {
        "htj2k": "1.2.840.10008.1.2.4.201"
    }
    server = orthanc()
    server.load(*files.values())
    hospital = make_hospital("ORT", base_url=server.dicomweb_url, read_timeout_s=30)
    discover(hospital.pk)
    run_due(hospital.pk)
    viewer = tab(web().url, reader_at(hospital))

    for name, path in files.items():
        header = pydicom.dcmread(path, stop_before_pixels=True)
        assert header.file_meta.TransferSyntaxUID == syntaxes[name]
        viewer.open(header.StudyInstanceUID)
        viewer.page.wait_for_timeout(500)
        viewer.shoot(name)
        assert likeness(viewer.pictures()[0], shown_by(path)) > 0.95, name
    viewer.assert_clean()


@pytest.fixture
def hospitals(site: None) -> dict[str, Institution]:
    """EAST made the pictures; the reader works at WEST, in the same consortium."""
    consortium: Consortium = archives.make_consortium("C")
    return {
        code: archives.make_institution(code, consortium=consortium) for code in ("EAST", "WEST")
    }


def hold(institution: Institution, paths: list[Path], tmp_path: Path) -> str:
    """Archive files there; the UID of the (last) study."""
    with transaction.atomic():
        stored = archives.archive_files(institution, paths, tmp_path=tmp_path)
    return stored[-1].header.study_instance_uid


def test_a_measurement_on_another_hospitals_study_is_kept_at_home_and_comes_back(
    hospitals: dict[str, Institution], web: Web, tab: Tab, tmp_path: Path
) -> None:
    study = hold(hospitals["EAST"], phantom(140, 150, 160), tmp_path)
    viewer = tab(web().url, reader_at(hospitals["WEST"]))
    viewer.open(study)
    page = viewer.page

    draw_length(page)
    page.click('[data-cy="prompt-begin-tracking-yes-btn"]')
    page.click('[data-cy="trackedMeasurements-btn"]')
    rows = page.locator('[data-cy="data-row"]')
    measured = length_in(rows.first)
    viewer.shoot("measured")
    page.click('button:has-text("保存为报告")')
    page.fill('[role="dialog"] input', "长度测量")
    viewer.shoot("saving")
    with page.expect_response(lambda answer: answer.request.method == "POST") as stored:
        page.click('[role="dialog"] button:has-text("保存")')
    assert stored.value.status == 200

    page.reload()
    viewer.wait_for_pictures()
    report = page.locator('[data-cy="study-browser-thumbnail-no-image"]:has-text("长度测量")')
    report.wait_for(timeout=20_000)
    report.dblclick()
    page.click('[data-cy="yes-hydrate-btn"]')
    page.click('[data-cy="trackedMeasurements-btn"]')
    rows.first.wait_for(timeout=20_000)
    assert length_in(rows.first) == measured
    viewer.shoot("came-back")

    kept = Series.objects.get(modality="SR")
    assert kept.study.institution == hospitals["WEST"]
    assert kept.study.study_instance_uid == study
    viewer.assert_clean()


def length_in(row: Any) -> str:
    """The length that a row of the measurement panel gives."""
    return re.findall(r"\d+\.\d mm", row.locator("xpath=..").inner_text())[0]


def draw_length(page: Any) -> None:
    page.click('[data-cy="MeasurementTools-split-button-primary"]')
    box = page.locator("canvas.cornerstone-canvas").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 80, y)
    page.mouse.down()
    page.mouse.move(x, y + 10, steps=4)
    page.mouse.move(x + 80, y + 20, steps=4)
    page.mouse.up()


def test_three_planes_are_reconstructed(
    hospitals: dict[str, Institution], web: Web, tab: Tab, tmp_path: Path
) -> None:
    study = hold(hospitals["EAST"], phantom(*range(60, 201, 10)), tmp_path)
    viewer = tab(web().url, reader_at(hospitals["WEST"]))

    viewer.open(study, protocol="mpr", viewports=3)
    viewer.page.wait_for_timeout(3000)
    viewer.shoot("mpr")

    planes = viewer.pictures()
    assert len(planes) == 3
    # Each shows the skull, bright on black, and no two show the same.
    assert all(plane.std() > 20 for plane in planes)
    assert all((plane > 200).mean() > 0.005 for plane in planes)
    small = [
        plane[:: max(1, plane.shape[0] // 50), :: max(1, plane.shape[1] // 50)] for plane in planes
    ]
    sides = min(min(plane.shape) for plane in small)
    cut = [plane[:sides, :sides] for plane in small]
    pairs = ((0, 1), (0, 2), (1, 2))
    assert all(np.corrcoef(cut[a].ravel(), cut[b].ravel())[0, 1] < 0.95 for a, b in pairs)
    viewer.assert_clean()


@pytest.mark.parametrize(
    ("pictures", "derived", "said", "segment"),
    [
        pytest.param(
            "pydicom/dicomdirtests/77654033/ct2/*.dcm",
            "highdicom/seg_image_ct_binary.dcm",
            "SEG",
            "first segment",
            id="segmentation",
        ),
        pytest.param(
            "dicompyler-core/ct.0.dcm",
            "dicompyler-core/rtss.dcm",
            "RTSTRUCT",
            "Lt Lung",
            id="structure-set",
        ),
    ],
)
def test_what_was_outlined_is_listed_and_drawn_over_the_picture(
    pictures: str,
    derived: str,
    said: str,
    segment: str,
    hospitals: dict[str, Institution],
    web: Web,
    tab: Tab,
    tmp_path: Path,
) -> None:
    study = hold(
        hospitals["EAST"], [*sorted(dicom_root().glob(pictures)), row(derived).path], tmp_path
    )
    viewer = tab(web().url, reader_at(hospitals["WEST"]))
    viewer.open(study)
    page = viewer.page

    page.dblclick(f'[data-cy="study-browser-thumbnail-no-image"]:has-text("{said}")')
    page.click('[data-cy="yes-hydrate-btn"], button:has-text("加载")', timeout=30_000)
    page.click('[data-cy="panelSegmentation-btn"]')
    page.locator(f'[data-cy="data-row-title"]:has-text("{segment}")').wait_for(timeout=30_000)
    viewer.shoot(said.lower())

    viewer.assert_clean()


def test_objects_without_pictures_do_not_keep_a_study_from_opening(
    hospitals: dict[str, Institution], web: Web, tab: Tab, tmp_path: Path
) -> None:
    strange = ["dicompyler-core/ct.0.dcm", "dicompyler-core/rtplan.dcm"]
    study = hold(hospitals["EAST"], [row(name).path for name in strange], tmp_path)
    viewer = tab(web().url, reader_at(hospitals["WEST"]))

    viewer.open(study)

    plan = viewer.page.locator('[data-cy="study-browser-thumbnail-no-image"]')
    plan.wait_for(timeout=20_000)
    assert "RTPLAN" in plan.inner_text()
    viewer.assert_clean()


def test_behind_a_prefix_and_in_english_the_list_leads_to_the_picture_and_its_priors(
    hospitals: dict[str, Institution], web: Web, tab: Tab, tmp_path: Path
) -> None:
    prior = hold(
        hospitals["EAST"],
        sorted(dicom_root().glob("pydicom/dicomdirtests/98892001/ct2n/*.dcm")),
        tmp_path,
    )
    hold(
        hospitals["EAST"],
        sorted(dicom_root().glob("pydicom/dicomdirtests/98892003/mr700/*.dcm")),
        tmp_path,
    )
    url = web(SCRIPT_NAME="/cloud").url + "/cloud"
    viewer = tab(url, reader_at(hospitals["WEST"]), language="en-US")
    page = viewer.page

    page.goto(f"{url}/viewer/")
    page.locator("text=Study List").first.wait_for(timeout=30_000)
    page.locator("text=Doe, Peter").first.wait_for()
    viewer.shoot("list-english")
    viewer.open(prior)
    page.locator("text=Brain-MRA").first.wait_for(timeout=20_000)
    viewer.shoot("prefix-english")

    assert re.search(r"\bStudies\b", page.inner_text("body"))
    assert "检查" not in page.inner_text("body")
    assert page.evaluate("navigator.serviceWorker.getRegistrations().then(all => all.length)") == 0
    viewer.assert_clean()
