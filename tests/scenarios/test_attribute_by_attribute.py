"""What ``/metadata`` and QIDO answer is what Orthanc and DCMTK read from the same files.

Each difference that remains is in a reviewed list with the clause of the standard that decides it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.attributes import (
    PIXEL_DATA,
    TRAILING_PADDING,
    Reviewed,
    differences,
    items,
    same_number,
    texts,
    unreviewed,
    vr,
)
from tests.support.collection import address, identified
from tests.support.dicom_files import Row
from tests.support.fixtures import OrthancFactory
from tests.support.services import Orthanc, program

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

CHARACTER_SET = "00080005"
MODALITIES = "00080061"
PATIENT_NAME = "00100010"
TIMEZONE_OFFSET = "00080201"
# In single files of the collection: padding value and palette descriptors.
STORED_AS_UN = {"00280120", "00281101", "00281102", "00281103"}
_FLOATS = {"FL", "FD", "OF", "OD"}
REVIEWED = (
    Reviewed(
        "PS3.18 F.2.1: JSON is UTF-8, and Specific Character Set says so",
        lambda each: each.tag == CHARACTER_SET and texts(each.ours)[-1:] == ["ISO_IR 192"],
    ),
    Reviewed(
        "PS3.10 7.2: Data Set Trailing Padding has no meaning and is not repeated",
        lambda each: each.tag == TRAILING_PADDING and each.ours is None,
    ),
    Reviewed(
        "PS3.5 6.2: trailing spaces and trailing empty components carry no meaning",
        lambda each: vr(each.ours) == vr(each.theirs) and texts(each.ours) == texts(each.theirs),
    ),
    Reviewed(
        "PS3.5 6.2.2 Note 5: UN is given as what the dictionary knows it to be",
        lambda each: vr(each.theirs) == "UN" and vr(each.ours) != "UN",
    ),
)
BY_DCM2JSON = (
    *REVIEWED,
    Reviewed(
        "PS3.18 F.2.6: Pixel Data by reference; compressed ones were taken out before dcm2json read the file",
        lambda each: each.tag == PIXEL_DATA and each.theirs is None,
    ),
    Reviewed(
        "PS3.18 F.2.3: binary floats; DCMTK 3.6.7 prints a double with too few digits",
        lambda each: (
            vr(each.ours) in _FLOATS
            and same_number(
                each.ours, each.theirs, relative=2e-7 if vr(each.ours) == "FL" else 1e-15
            )
        ),
    ),
    Reviewed(
        "PS3.18 F.2.2: an empty person name; DCMTK leaves the value out",
        lambda each: vr(each.ours) == "PN" and not any(texts(each.ours)) and not items(each.theirs),
    ),
)
BY_ORTHANC = (
    *REVIEWED,
    Reviewed(
        "PS3.18 F.2.6: Pixel Data by reference; Orthanc leaves compressed pixels out",
        lambda each: each.tag == PIXEL_DATA and each.theirs is None,
    ),
    Reviewed(
        "PS3.5 6.2.2 Note 5: elements stored as UN; Orthanc leaves them out beside compressed pixels",
        lambda each: each.theirs is None and (each.is_private or each.tag in STORED_AS_UN),
    ),
    Reviewed(
        "PS3.5 7.5.1: an item may be empty and is an item all the same; Orthanc drops it",
        lambda each: items(each.ours)[-1:] == [{}] and items(each.ours)[:-1] == items(each.theirs),
    ),
    Reviewed(
        "PS3.18 Table F.2.3-1: OD and OF are octets; Orthanc gives the first as a number",
        lambda each: vr(each.ours) in {"OD", "OF"} and len(items(each.theirs)) == 1,
    ),
    Reviewed(
        "PS3.5 6.1.2.5: escape sequences within ISO 2022 text; Orthanc shows their bytes",
        lambda each: each.tag == PATIENT_NAME and ";3ED^B@O:" in str(each.theirs),
    ),
    Reviewed(
        "PS3.5 6.4: LT, ST, UT have one value, and a backslash in it is text; Orthanc splits it",
        lambda each: (
            vr(each.ours) in {"LT", "ST", "UT"}
            and "\\".join(texts(each.theirs)) == texts(each.ours)[0]
        ),
    ),
    Reviewed(
        "PS3.18 F.2.3: numbers as they are; Orthanc makes very small ones 0",
        lambda each: (
            vr(each.ours) in {"DS", "FL", "FD"}
            and same_number(each.ours, each.theirs, relative=2e-7, absolute=1e-12)
        ),
    ),
)


def metadata(reader: Any, row: Row) -> dict[str, Any]:
    answer = reader.get(f"/dicom-web/at/near/{address(row)}/metadata")
    assert answer.status_code == 200, (row.name, answer.content)
    (found,) = json.loads(answer.content)
    return dict(found)


def test_metadata_is_what_dcm2json_reads_from_the_file(reader: Any, tmp_path: Path) -> None:
    tool = program("dcmtk", "DCM2JSON_BIN", "dcm2json")
    compared, faults = 0, []
    for row in identified():
        theirs = dcm2json(tool, row, tmp_path)
        if theirs is None:
            continue
        compared += 1
        found = unreviewed(differences(metadata(reader, row), theirs), BY_DCM2JSON)
        faults += [f"{row.name} {each}" for each in found]

    assert not faults, "\n".join(faults)
    assert compared > 340


def dcm2json(tool: Path, row: Row, tmp_path: Path) -> dict[str, Any] | None:
    """DCMTK's reading; None where it cannot: its output is not UTF-8 (it decodes no GB18030)."""
    source = row.path
    if row.fields["pixels"] and not row.transfer_syntax_uid.startswith(
        ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
    ):
        # It refuses compressed pixels ("InlineBinary encoding not supported"): a copy without them.
        source = tmp_path / "without-pixels.dcm"
        shutil.copyfile(row.path, source)
        subprocess.run(
            ["dcmodify", "--no-backup", "-imt", "-ea", "(7FE0,0010)", str(source)],
            capture_output=True,
            check=False,
        )
    done = subprocess.run([str(tool), str(source)], capture_output=True, check=False)
    try:
        read = json.loads(done.stdout.decode("utf-8"))
    except ValueError:
        return None
    found: dict[str, Any] = read[0] if isinstance(read, list) else read
    return found


@pytest.mark.orthanc
def test_metadata_is_what_orthanc_answers_for_the_file(
    reader: Any, orthanc: OrthancFactory
) -> None:
    server = orthanc("peer")
    faults = []
    for row in loaded(server):
        path = f"dicom-web/{address(row)}/metadata"
        (theirs,) = json.loads(server.get(path))
        found = unreviewed(differences(metadata(reader, row), theirs), BY_ORTHANC)
        faults += [f"{row.name} {each}" for each in found]

    assert not faults, "\n".join(faults)


def loaded(server: Orthanc) -> list[Row]:
    """The files that Orthanc takes; Debian's refuses one."""

    def taken(row: Row) -> bool:
        try:
            return bool(server.load(row.path))
        except OSError:
            return False

    found = [row for row in identified() if taken(row)]
    assert len(found) > 340
    return found


# Each origin's own: its address, and whether the object is at hand.
OF_THE_ORIGIN = {"00081190", "00080056"}
OF_THE_STUDY = {
    "00080020", "00080030", "00080050", "00080090", "00100010", "00100020", "00100030", "00100040",
    "00200010",
}  # fmt: skip
OF_THE_SERIES = {"00080060", "00200011"}
LEVELS = {
    "?StudyInstanceUID={study}": "0020000D",
    "/{study}/series": "0020000E",
    "/{study}/instances": "00080018",
}
BY_ORTHANC_SEARCH = (
    *BY_ORTHANC,
    Reviewed(
        "PS3.18 10.6.3.3: the study in the address is not repeated in the answers; Orthanc does",
        lambda each: each.ours is None and each.tag in OF_THE_STUDY,
    ),
    Reviewed(
        "PS3.18 10.6.3.3.3: attributes of the series are those of the series, of whose files a few disagree",
        lambda each: each.tag in OF_THE_SERIES and bool(texts(each.ours)),
    ),
    Reviewed(
        "PS3.18 F.2.5: an attribute without a value may be left out; OHIF's list fails on an empty one",
        lambda each: each.tag == MODALITIES and each.ours is None and not items(each.theirs),
    ),
    Reviewed(
        "PS3.18 10.6.3.3.1: the study as one series describes it; in two studies a later segmentation has no time zone",
        lambda each: each.tag == TIMEZONE_OFFSET and each.ours is None,
    ),
    Reviewed(
        "PS3.5 6.2 DA: written as YYYYMMDD, from the old form with dots too; what is no date is none",
        lambda each: vr(each.ours) == "DA" and texts(each.ours) == dates(each.theirs),
    ),
)


def dates(attribute: Any) -> list[str]:
    written = [each.replace(".", "") for each in texts(attribute)]
    return [each for each in written if each.isdigit()]


@pytest.mark.orthanc
def test_search_answers_are_those_of_orthanc_for_the_same_files(
    reader: Any, orthanc: OrthancFactory
) -> None:
    server = orthanc("peer")
    studies = sorted({row.fields["study_instance_uid"] for row in loaded(server)})
    faults: list[str] = []
    for uid in studies:
        for level, key in LEVELS.items():
            path = f"studies{level.format(study=uid)}"
            ours = by_key(json.loads(reader.get(f"/dicom-web/at/near/{path}").content), key)
            theirs = by_key(json.loads(server.get(f"dicom-web/{path}") or b"[]"), key)
            assert ours.keys() >= theirs.keys(), path
            for found, attributes in theirs.items():
                # Which attributes come beyond the required ones is each origin's choice.
                mine = {tag: ours[found][tag] for tag in ours[found].keys() & attributes.keys()}
                left = unreviewed(differences(mine, attributes), BY_ORTHANC_SEARCH)
                faults += [f"{path} {each}" for each in left]

    assert not faults, "\n".join(faults)


def by_key(found: list[dict[str, Any]], key: str) -> dict[str, dict[str, Any]]:
    return {
        row[key]["Value"][0]: {tag: row[tag] for tag in row.keys() - OF_THE_ORIGIN} for row in found
    }
