#!/usr/bin/env python3
"""The demo hospitals' files: pydicom's own test files as studies, and synthetic CT, MR and DX studies.

    python tools/demo_data.py DIR

writes ``DIR/folder-hospital`` and ``DIR/dicomweb-hospital``. The people do not exist; the pictures are computed.
The same call gives the same UIDs and pixels, and what is there already is not made again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "platform"))

from common.dicom.errors import MalformedDicom
from common.dicom.part10 import read_instance

CT_SLICES = 200
SIZE = 512
DONE = "complete"
Picture = np.ndarray[tuple[int, int], np.dtype[np.float32]]


@dataclass(frozen=True)
class Person:
    """A patient of the demo, with a local number at each hospital."""

    name: str
    local_id: str
    birth: date
    sex: str


@dataclass(frozen=True)
class Exam:
    """One synthetic study of one series."""

    person: Person
    modality: str
    sop_class: str
    description: str
    series_description: str
    body_part: str
    accession: str
    day: date
    institution: str
    charset: str = "ISO_IR 192"
    declared: bool = True

    def uid(self, *parts: object) -> str:
        """A UID that is the same at every start."""
        return str(
            generate_uid(entropy_srcs=["imaging-cloud-demo", self.accession, *map(str, parts)])
        )


UNIVERSITY = "江城大学附属医院（演示）"
COUNTY = "云溪县人民医院（演示）"
ZHANG = Person("Zhang^Wei=张^伟", "U20240017", date(1968, 4, 12), "M")
LI = Person("Li^Na=李^娜", "U20240233", date(1985, 11, 2), "F")
OUYANG = Person("Ouyang^Xiaoyan=欧阳^晓燕", "U20240311", date(1992, 6, 30), "F")
CHEN = Person("陈^国强", "C10086", date(1957, 1, 25), "M")
LI_COUNTY = replace(LI, local_id="C10293")

CHEST_CT = Exam(
    ZHANG,
    "CT",
    CTImageStorage,
    "胸部CT平扫",
    "胸部 1.0mm 肺窗",
    "CHEST",
    "UCT240901",
    date(2026, 9, 1),
    UNIVERSITY,
)
BRAIN_MR = Exam(
    OUYANG,
    "MR",
    MRImageStorage,
    "颅脑MRI平扫",
    "T2WI 轴位",
    "BRAIN",
    "UMR240915",
    date(2026, 9, 15),
    UNIVERSITY,
)
CHEST_DX = Exam(
    LI, "DX", DigitalXRayImageStorageForPresentation, "胸部正位DR", "胸部正位", "CHEST", "UDX241002", date(2026, 10, 2),
    UNIVERSITY,
)  # fmt: skip
COUNTY_CT = Exam(
    LI_COUNTY,
    "CT",
    CTImageStorage,
    "胸部CT平扫",
    "胸部 5.0mm 纵隔窗",
    "CHEST",
    "CCT241020",
    date(2026, 10, 20),
    COUNTY,
)
# A device that writes GBK and declares nothing: the hospital's override makes the name readable.
COUNTY_DX = Exam(
    CHEN, "DX", DigitalXRayImageStorageForPresentation, "胸部正位DR", "胸部正位", "CHEST", "CDX241025",
    date(2026, 10, 25), COUNTY, charset="GB18030", declared=False,
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slices", type=int, default=CT_SLICES, help="slices of the CT phantom")
    arguments = parser.parse_args()
    make(arguments.folder, slices=arguments.slices)


def make(folder: Path, *, slices: int = CT_SLICES) -> None:
    """Write both hospitals' files, unless they are there."""
    done = folder / DONE
    if done.is_file():
        return
    county, university = folder / "folder-hospital", folder / "dicomweb-hospital"
    volume = list(torso(slices))
    write_study(
        university / "ct", CHEST_CT, [ct_attributes(p, i, 1.0) for i, p in enumerate(volume)]
    )
    write_study(university / "mr", BRAIN_MR, [mr_attributes(p, i) for i, p in enumerate(brain(24))])
    projected = radiograph(volume)
    write_study(university / "dx", CHEST_DX, [dx_attributes(projected)])
    coarse = volume[:: max(1, slices // 40)]
    write_study(county / "ct", COUNTY_CT, [ct_attributes(p, i, 5.0) for i, p in enumerate(coarse)])
    write_study(county / "dx", COUNTY_DX, [dx_attributes(np.fliplr(projected))])
    share_test_files(county / "pydicom", university / "pydicom")
    age(folder)
    done.write_text("Delete this file to have the demo hospitals' files made again.\n")


def torso(slices: int) -> Iterator[Picture]:
    """A chest in Hounsfield units: skin, ribs, lungs with vessels, heart, spine, and one nodule."""
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j].astype(np.float32)
    noise = np.random.default_rng(7).normal(0, 12, (SIZE, SIZE)).astype(np.float32)
    for number in range(slices):
        z = number / max(1, slices - 1)
        wide = 0.78 + 0.1 * np.sin(np.pi * z)
        picture = np.full((SIZE, SIZE), -1000, np.float32)
        picture[ellipse(x, y, 0, 0, wide, 0.62)] = -90
        picture[ellipse(x, y, 0, 0, wide - 0.06, 0.56)] = 45
        lung = 0.1 + 0.24 * np.sin(np.pi * min(1, z * 1.1))
        for side in (-1, 1):
            inside = ellipse(x, y, side * 0.38, -0.02, lung, lung * 1.45)
            vessels = np.sin(x * 61 + z * 9) * np.sin(y * 57 - z * 7)
            picture[inside] = np.where(vessels > 0.93, -250, -860)[inside]
        heart = max(0.0, 0.27 * np.sin(np.pi * np.clip((z - 0.25) * 1.5, 0, 1)))
        picture[ellipse(x, y, 0.1, -0.12, heart, heart * 1.1)] = 55
        picture[ellipse(x, y, 0, 0.36, 0.1, 0.1)] = 480
        picture[ellipse(x, y, 0, 0.36, 0.05, 0.05)] = 180
        for angle in np.linspace(0.15, np.pi - 0.15, 7) + z * 0.9:
            for side in (-1, 1):
                rib_x, rib_y = side * (wide - 0.1) * np.sin(angle), 0.5 * np.cos(angle)
                picture[ellipse(x, y, rib_x, rib_y, 0.035, 0.022)] = 620
        if abs(z - 0.55) < 0.02:
            picture[ellipse(x, y, 0.4, 0.1, 0.025, 0.025)] = 60
        yield picture + np.roll(noise, number * 37)


def brain(slices: int) -> Iterator[Picture]:
    """A head as a T2-weighted image shows it: bright fluid, grey and white matter, dark bone."""
    y, x = np.mgrid[-1:1:320j, -1:1:320j].astype(np.float32)
    noise = np.random.default_rng(11).normal(0, 14, (320, 320)).astype(np.float32)
    for number in range(slices):
        z = np.sin(np.pi * (number + 2) / (slices + 3))
        picture = np.zeros((320, 320), np.float32)
        picture[ellipse(x, y, 0, 0, 0.72 * z, 0.88 * z)] = 420
        picture[ellipse(x, y, 0, 0, 0.67 * z, 0.83 * z)] = 60
        picture[ellipse(x, y, 0, 0, 0.62 * z, 0.78 * z)] = 900
        folds = np.sin(x * 40 + np.sin(y * 17) * 2) * np.sin(y * 36)
        matter = ellipse(x, y, 0, 0, 0.59 * z, 0.75 * z)
        picture[matter] = np.where(folds > 0.4, 430, 300)[matter]
        for side in (-1, 1):
            picture[ellipse(x, y, side * 0.1, 0.02, 0.05 * z, 0.24 * z)] = 1050
        yield np.clip(picture + np.roll(noise, number * 13), 0, 4095)


def radiograph(volume: list[Picture]) -> Picture:
    """A chest radiograph: the volume looked through from front to back."""
    rows = [np.exp(-np.clip(picture + 1000, 0, None).sum(axis=0) / 210_000) for picture in volume]
    flat = np.repeat(np.array(rows, np.float32), max(1, 1024 // len(rows)), axis=0)
    wide = np.repeat(flat, 2, axis=1)
    bright = (1 - (wide - wide.min()) / max(1e-6, float(np.ptp(wide)))) ** 1.6
    return np.asarray(bright * 4095, np.float32)


def ellipse(x: Picture, y: Picture, at_x: float, at_y: float, wide: float, high: float) -> Picture:
    """The points inside an ellipse."""
    if wide <= 0 or high <= 0:
        return np.zeros(x.shape, bool)  # type: ignore[return-value]
    return ((x - at_x) / wide) ** 2 + ((y - at_y) / high) ** 2 <= 1  # type: ignore[return-value]


def ct_attributes(picture: Picture, number: int, thickness: float) -> Dataset:
    """One CT slice (PS3.3 A.3)."""
    item = pixels(np.clip(picture, -1024, 3071).astype(np.int16), signed=True, stored=16)
    item.InstanceNumber = number + 1
    item.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    item.PixelSpacing = [0.703, 0.703]
    item.SliceThickness = thickness
    item.ImagePositionPatient = [-180.0, -180.0, round(number * thickness, 3)]
    item.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    item.SliceLocation = round(number * thickness, 3)
    item.RescaleIntercept, item.RescaleSlope, item.RescaleType = 0, 1, "HU"
    item.WindowCenter, item.WindowWidth = [-600, 40], [1500, 400]
    item.WindowCenterWidthExplanation = ["LUNG", "MEDIASTINUM"]
    item.KVP = 120
    return item


def mr_attributes(picture: Picture, number: int) -> Dataset:
    """One MR slice (PS3.3 A.4)."""
    item = pixels(picture.astype(np.uint16), signed=False, stored=12)
    item.InstanceNumber = number + 1
    item.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
    item.PixelSpacing = [0.72, 0.72]
    item.SliceThickness, item.SpacingBetweenSlices = 5.0, 6.0
    item.ImagePositionPatient = [-115.0, -115.0, number * 6.0]
    item.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    item.ScanningSequence, item.SequenceVariant, item.ScanOptions = "SE", "SK", ""
    item.MRAcquisitionType, item.EchoTime, item.RepetitionTime = "2D", 96, 4200
    item.EchoTrainLength, item.MagneticFieldStrength = 15, 3
    item.WindowCenter, item.WindowWidth = 450, 1000
    return item


def dx_attributes(picture: Picture) -> Dataset:
    """One digital radiograph (PS3.3 A.26)."""
    item = pixels(picture.astype(np.uint16), signed=False, stored=12)
    item.InstanceNumber = 1
    item.ImageType = ["ORIGINAL", "PRIMARY"]
    item.PresentationIntentType = "FOR PRESENTATION"
    item.PixelIntensityRelationship, item.PixelIntensityRelationshipSign = "LOG", -1
    item.RescaleIntercept, item.RescaleSlope, item.RescaleType = 0, 1, "US"
    item.PresentationLUTShape, item.LossyImageCompression = "IDENTITY", "00"
    item.ImagerPixelSpacing, item.BurnedInAnnotation = [0.35, 0.35], "NO"
    item.ViewPosition, item.ImageLaterality, item.PatientOrientation = "PA", "U", ["L", "F"]
    item.WindowCenter, item.WindowWidth = 2047, 4095
    return item


def pixels(
    array: np.ndarray[tuple[int, int], np.dtype[np.generic]], *, signed: bool, stored: int
) -> Dataset:
    """Image Pixel Module (PS3.3 C.7.6.3)."""
    item = Dataset()
    item.Rows, item.Columns = array.shape
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.BitsAllocated, item.BitsStored, item.HighBit = 16, stored, stored - 1
    item.PixelRepresentation = int(signed)
    item.PixelData = array.tobytes()
    return item


def write_study(folder: Path, exam: Exam, images: list[Dataset]) -> None:
    """One series on disk, one file each."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in images:
        uid = exam.uid("instance", image.InstanceNumber)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = exam.sop_class, uid
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        item.SpecificCharacterSet = exam.charset
        describe(item, exam, uid)
        item.update(image)
        path = folder / f"IM{image.InstanceNumber:04d}.dcm"
        item.save_as(path, enforce_file_format=True)
        if not exam.declared:
            undeclare(path)


def describe(item: Dataset, exam: Exam, sop_instance_uid: str) -> None:
    """Patient, study, series and equipment."""
    item.SOPClassUID, item.SOPInstanceUID = exam.sop_class, sop_instance_uid
    item.StudyInstanceUID, item.SeriesInstanceUID = exam.uid("study"), exam.uid("series")
    item.FrameOfReferenceUID, item.PositionReferenceIndicator = exam.uid("frame"), ""
    day = exam.day.strftime("%Y%m%d")
    item.StudyDate = item.SeriesDate = item.AcquisitionDate = item.ContentDate = day
    item.StudyTime = item.SeriesTime = item.AcquisitionTime = item.ContentTime = "093000"
    item.AccessionNumber, item.StudyID = exam.accession, exam.accession[-4:]
    item.Modality, item.Manufacturer = exam.modality, "Imaging Cloud Demo"
    item.ManufacturerModelName, item.InstitutionName = "Computed phantom", exam.institution
    item.ReferringPhysicianName = ""
    item.StudyDescription, item.SeriesDescription = exam.description, exam.series_description
    item.BodyPartExamined, item.SeriesNumber, item.AcquisitionNumber = exam.body_part, 1, 1
    item.PatientName, item.PatientID = exam.person.name, exam.person.local_id
    item.PatientBirthDate = exam.person.birth.strftime("%Y%m%d")
    item.PatientSex = exam.person.sex


def undeclare(path: Path) -> None:
    """Take Specific Character Set out of the file and leave the encoded bytes as they are."""
    raw = path.read_bytes()
    start = raw.index(b"\x08\x00\x05\x00CS")
    length = int.from_bytes(raw[start + 6 : start + 8], "little")
    path.write_bytes(raw[:start] + raw[start + 8 + length :])


def age(folder: Path) -> None:
    """Date the files an hour back: a folder hospital leaves files alone that may still be written."""
    an_hour_ago = time.time() - 3600
    for path in folder.rglob("*.dcm"):
        os.utime(path, (an_hour_ago, an_hour_ago))


def share_test_files(first: Path, second: Path) -> None:
    """pydicom's own test files, as far as they are whole, each study at one hospital, each UID once."""
    source = Path(pydicom.__file__).parent / "data" / "test_files"
    seen: set[str] = set()
    for path in sorted(source.rglob("*.dcm")):
        try:
            with path.open("rb") as file:
                found = read_instance(file, offset=0, length=path.stat().st_size)
        except MalformedDicom:
            continue  # the demo shows healthy hospitals; broken files are the tests' business
        if found.sop_instance_uid in seen:
            continue
        seen.add(found.sop_instance_uid)
        chosen = first if zlib.crc32(found.study_instance_uid.encode()) % 2 else second
        chosen.mkdir(parents=True, exist_ok=True)
        target = chosen / path.name
        if not target.exists():
            target.write_bytes(path.read_bytes())


if __name__ == "__main__":
    main()
