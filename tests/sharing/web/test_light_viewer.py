"""The light viewer on a phone: what a finger, a key and a button do to real pictures."""

from __future__ import annotations

import io
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import transaction
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.support.archive import archive_files
from tests.support.dicom_files import row, rows

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
CT = "cornerstone/ctimage.dcm"
CINE = "dcmjs/cine-test.dcm"
SERIES = "dcm_qa_ct/philips_phantom_std_brain_5mm"
KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"


class Viewer:
    """The page of one series, and what can be done and seen there."""

    def __init__(self, page: Any, base: str, province: Any, complaints: list[str]) -> None:
        self.page, self.base, self.province, self.complaints = page, base, province, complaints
        self.bytes = 0
        page.on("response", self._count)

    def _count(self, answer: Any) -> None:
        self.bytes += int(answer.headers.get("content-length", 0))

    def archive(self, *paths: Path, tmp_path: Path) -> None:
        with transaction.atomic():
            archive_files(self.province.east, paths, tmp_path=tmp_path)

    def open(self, name: str) -> None:
        fields = row(name).fields
        uids = fields["study_instance_uid"], fields["series_instance_uid"]
        self.page.goto("{}/studies/EAST/{}/view/{}/".format(self.base, *uids))
        self.page.wait_for_selector("canvas[data-picture]")

    @property
    def place(self) -> str:
        return str(self.page.locator("#place").inner_text())

    @property
    def length(self) -> str:
        return str(self.page.locator("#length").inner_text())

    def picture(self) -> np.ndarray[Any, Any]:
        """What the stage shows, in grey."""
        shot = Image.open(io.BytesIO(self.page.locator("canvas").screenshot())).convert("L")
        return np.asarray(shot, dtype=float)

    def stage(self) -> dict[str, float]:
        box: dict[str, float] = self.page.locator(".stage").bounding_box()
        return box

    def drag(self, *points: tuple[float, float]) -> None:
        """Along these points, in parts of the stage's width and height."""
        box = self.stage()
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=8)
        self.page.mouse.up()


@pytest.fixture
def viewer(live_server: Any, browsing: Any, settings: Any, tmp_path: Path) -> Iterator[Viewer]:
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/store"
    settings.DATA_DIR = tmp_path / "data"
    province, page, complaints = browsing
    yield Viewer(page, live_server.url, province, complaints)
    assert complaints == []


def test_the_first_picture_is_there_within_300_kilobytes(viewer: Viewer, tmp_path: Path) -> None:
    large = "pydicom-data/gdcm-us-aloka-16.dcm"
    viewer.archive(row(CT).path, row(large).path, tmp_path=tmp_path)
    viewer.open(CT)

    assert viewer.bytes < 300_000
    assert statistics.pstdev(viewer.picture().ravel().tolist()) > 20


def test_a_finger_swipes_and_keys_step_through_the_slices(viewer: Viewer, tmp_path: Path) -> None:
    slices = [each for each in rows("instance") if each.name.startswith(SERIES)]
    viewer.archive(*(each.path for each in slices), tmp_path=tmp_path)
    viewer.open(slices[0].name)
    count = len(slices)
    assert viewer.place == f"1 / {count}"

    viewer.drag((0.5, 0.2), (0.5, 0.5))
    swiped = int(viewer.place.split(" /")[0])
    assert 3 < swiped < count
    viewer.page.keyboard.press("ArrowUp")
    assert viewer.place == f"{swiped - 1} / {count}"
    viewer.page.keyboard.press("End")
    assert viewer.place == f"{count} / {count}"
    viewer.page.keyboard.press("ArrowDown")
    assert viewer.place == f"{count} / {count}"


def test_presets_inversion_turning_and_size_change_the_picture_and_reset_brings_it_back(
    viewer: Viewer, tmp_path: Path
) -> None:
    viewer.archive(row(CT).path, tmp_path=tmp_path)
    viewer.open(CT)
    first = viewer.picture()

    viewer.page.select_option("#preset", "-600,1500")
    viewer.page.wait_for_selector("canvas[data-picture*='window=']")
    lung = viewer.picture()
    assert abs(lung - first).mean() > 5
    viewer.page.select_option("#preset", "")
    viewer.page.click("#invert")
    viewer.page.wait_for_selector("canvas:not([data-picture*='window='])")
    assert viewer.picture().mean() > first.mean() + 20
    viewer.page.keyboard.press("i")
    viewer.page.click("[data-do=rotate]")
    turned = viewer.picture()
    assert abs(turned - first).mean() > 2
    viewer.page.click("[data-do=nearer]")
    assert abs(viewer.picture() - turned).mean() > 2
    viewer.page.click("[data-do=reset]")
    assert abs(viewer.picture() - first).mean() < 1


def test_two_fingers_pinch_the_picture_larger(viewer: Viewer, tmp_path: Path) -> None:
    viewer.archive(row(CT).path, tmp_path=tmp_path)
    viewer.open(CT)
    first = viewer.picture()
    box = viewer.stage()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = viewer.page.context.new_cdp_session(viewer.page)

    def fingers(kind: str, apart: float) -> None:
        points = [
            {"x": middle[0] + side * apart, "y": middle[1], "id": n}
            for n, side in enumerate((-1, 1))
        ]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", 30)
    for apart in (40, 60, 80, 100):
        fingers("touchMove", apart)
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    assert viewer.place == "1 / 1"
    assert abs(viewer.picture() - first).mean() > 5


def test_a_length_is_measured_in_millimetres_of_the_patient_whatever_the_zoom(
    viewer: Viewer, tmp_path: Path
) -> None:
    viewer.archive(row(CT).path, tmp_path=tmp_path)
    header = dcmread(row(CT).path, stop_before_pixels=True)
    viewer.open(CT)
    box = viewer.stage()
    # The picture fits the narrower side; a line over half of it is half of the picture's extent.
    side = min(box["width"], box["height"])
    extent = float(header.Columns * header.PixelSpacing[1])

    viewer.page.click("#measure")
    viewer.drag((0.5 - 0.25 * side / box["width"], 0.5), (0.5 + 0.25 * side / box["width"], 0.5))
    measured = float(viewer.length.removesuffix(" mm"))
    assert measured == pytest.approx(extent / 2, rel=0.02)
    viewer.page.keyboard.press("+")
    viewer.page.keyboard.press("r")
    assert float(viewer.length.removesuffix(" mm")) == measured
    viewer.page.click("[data-do=undo]")
    assert viewer.length == ""


def test_a_loop_plays_and_stops(viewer: Viewer, tmp_path: Path) -> None:
    viewer.archive(row(CINE).path, tmp_path=tmp_path)
    viewer.open(CINE)

    viewer.page.click("#play")
    viewer.page.wait_for_selector("#place:text-matches('^[2-8] / 8')")
    viewer.page.click("#play")
    stopped = viewer.place
    viewer.page.wait_for_timeout(300)

    assert viewer.place == stopped


def test_key_images_come_first_and_rejected_ones_do_not(viewer: Viewer, tmp_path: Path) -> None:
    slices = [each for each in rows("instance") if each.name.startswith(SERIES)][:6]
    by_number = sorted(slices, key=lambda each: dcmread(each.path).InstanceNumber)
    chosen, rejected = by_number[3], by_number[4]
    selections = [
        key_object_selection(chosen, codes.DCM.OfInterest, tmp_path / "chosen.dcm"),
        key_object_selection(rejected, codes.DCM.RejectedForQualityReasons, tmp_path / "no.dcm"),
    ]
    viewer.archive(*(each.path for each in slices), *selections, tmp_path=tmp_path)

    viewer.open(slices[0].name)

    assert viewer.place.startswith("4 / 6 ★")
    viewer.page.keyboard.press("Home")
    viewer.page.keyboard.press("k")
    assert viewer.place.startswith("4 / 6 ★")


def key_object_selection(image: Any, title: Any, path: Path) -> Path:
    """A Key Object Selection document that names one image (PS3.3 A.35.4)."""
    source = dcmread(image.path, stop_before_pixels=True)
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = source.SeriesInstanceUID, [reference]
    study = Dataset()
    study.StudyInstanceUID, study.ReferencedSeriesSequence = source.StudyInstanceUID, [series]
    name = Dataset()
    name.CodeValue, name.CodingSchemeDesignator = title.value, title.scheme_designator
    name.CodeMeaning = title.meaning
    document = Dataset()
    document.SOPClassUID, document.SOPInstanceUID = KEY_OBJECT_SELECTION, generate_uid()
    document.StudyInstanceUID, document.SeriesInstanceUID = source.StudyInstanceUID, generate_uid()
    document.PatientID, document.PatientName = source.PatientID, source.PatientName
    document.Modality, document.InstanceNumber = "KO", 1
    document.ValueType, document.ConceptNameCodeSequence = "CONTAINER", [name]
    document.CurrentRequestedProcedureEvidenceSequence = [study]
    document.file_meta = FileMetaDataset()
    document.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    document.save_as(path, enforce_file_format=True)
    return path
