"""The DICOMweb conformance page says what the tables of the code say (``test_capabilities`` asks the server itself)."""

from __future__ import annotations

import re

import pytest
from django.urls import Resolver404, get_resolver, resolve
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from common.dicom.codecs import NATIVE_TARGETS, TARGETS
from common.dicom.codecs.decoding import CODECS, NATIVE
from common.dicomweb.render import MAX_SIDE
from common.dicomweb.render_notes import NOTES
from common.errors import DomainError, Kind
from common.problem import status_of
from sharing.dicomweb import (
    instances,
    matching,
    query,
    rendered,
    store_response,
    stow,
    wado_uri,
)
from sharing.dicomweb.capabilities import METHODS, Method
from sharing.dicomweb.frames import MAX_FRAMES
from sharing.dicomweb.keys import SERIES_KEYS, STUDY_KEYS
from sharing.dicomweb.picture_parameters import KNOWN
from sharing.dicomweb.query import path_of
from sharing.models import Deletion
from sharing.services.storing.outcome import Failure
from tests.architecture.test_docs import DOCS, first_cells, section

PAGE = (DOCS / "conformance" / "dicomweb.md").read_text(encoding="utf-8")
ROOTS = ("/dicom-web", "/dicom-web/at/x")
SAMPLES = {"study": "1.2", "series": "1.2.3", "instance": "1.2.3.4", "frames": "1", "path": "x"}
MEDIA_TYPE = re.compile(r"\b(?:application|image|multipart|text|video)/[a-z0-9.+-]+")
# PS3.18 Tables 10.6.1-5 to -7, 2024e.
REQUIRED = {
    "study": "StudyDate StudyTime AccessionNumber ModalitiesInStudy ReferringPhysicianName PatientName PatientID"
    " StudyInstanceUID StudyID",
    "series": "Modality SeriesInstanceUID SeriesNumber PerformedProcedureStepStartDate"
    " PerformedProcedureStepStartTime RequestAttributesSequence.ScheduledProcedureStepID"
    " RequestAttributesSequence.RequestedProcedureID",
    "instance": "SOPClassUID SOPInstanceUID InstanceNumber",
}
# As the page names syntaxes without a number.
NAMED = {
    "Implicit and Explicit VR Little Endian": {ImplicitVRLittleEndian, ExplicitVRLittleEndian},
    "Explicit VR Big Endian, Deflated Explicit VR Little Endian": {
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    },
    "RLE Lossless": {RLELossless},
}


def table(heading: str, first: str) -> list[list[str]]:
    """The cells of the table whose first heading is ``first``, without its head."""
    lines = section(PAGE, heading).splitlines()
    (start,) = (at for at, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def route_of(resource: str) -> str:
    return str(resolve(ROOTS[0] + resource.format(**SAMPLES)).url_name)


def method_of(route: str, name: str) -> Method:
    return next(each for each in METHODS[route] if each.name == name)


def types_of_resources() -> dict[str, list[str]]:
    """The media types that the page gives each resource, by its route; "the same" is resolved."""
    frames = list(
        dict.fromkeys(
            found
            for line in section(PAGE, "Retrieve").splitlines()
            if line.startswith("| frames as")
            for found in MEDIA_TYPE.findall(line.replace("image/x-", ""))
        )
    )
    told: dict[str, list[str]] = {}
    before: list[str] = []
    for resource, _transaction, cell in table("Resources", "resource | transaction"):
        own = MEDIA_TYPE.findall(cell)
        if re.search(r"\bform(s of frames)? below\b|form of frames below", cell):
            own += frames
        before = before + own if cell.startswith("the same") else own
        told[route_of(resource.strip("`"))] = before
    return told


def test_every_resource_of_the_table_resolves_under_both_roots() -> None:
    resources = first_cells(section(PAGE, "Resources"))
    missing = []
    for root in ROOTS:
        for resource in resources:
            address = root + resource.format(**SAMPLES)
            try:
                name = resolve(address).url_name
            except Resolver404:
                name = None
            if not name:  # the catch-all at the end has none
                missing.append(address)

    assert len(resources) > 10
    assert missing == []


def test_every_route_is_in_the_table() -> None:
    told = {route_of(resource) for resource in first_cells(section(PAGE, "Resources"))}
    _prefix, space = get_resolver().namespace_dict["dicomweb"]
    routes = {entry.name for entry in space.url_patterns if getattr(entry, "name", None)}

    assert routes - {"root"} == told


@pytest.mark.parametrize(("route", "told"), types_of_resources().items())
def test_the_media_types_of_a_resource_are_those_it_describes(route: str, told: list[str]) -> None:
    answers = method_of(route, "GET").answers
    described = {found for form in answers for found in MEDIA_TYPE.findall(form)}

    assert set(told) == described


@pytest.mark.parametrize(("route", "told"), types_of_resources().items())
def test_the_first_media_type_of_a_resource_is_its_default(route: str, told: list[str]) -> None:
    first, *_ = MEDIA_TYPE.findall(method_of(route, "GET").answers[0])

    assert told[0] == first


def test_every_other_method_is_in_the_table_with_what_it_takes_and_answers() -> None:
    told = {}
    for resources, method, _transaction, cell in table("Resources", "resource | method"):
        for resource in re.findall(r"`([^`]+)`", resources):
            taken, _, answered = cell.lower().rpartition("answer")
            told[route_of(resource), method] = (
                set(MEDIA_TYPE.findall(taken)),
                set(MEDIA_TYPE.findall(answered)),
            )

    assert told == {
        (route, method.name): (
            {found for form in method.takes for found in MEDIA_TYPE.findall(form)},
            {found for form in method.answers for found in MEDIA_TYPE.findall(form)},
        )
        for route, methods in METHODS.items()
        for method in methods
        if method.name != "GET"
    }


@pytest.mark.parametrize(("level", "keys"), [("study", STUDY_KEYS), ("series", SERIES_KEYS)])
def test_the_matching_keys_of_a_level_are_those_that_are_matched(
    level: str, keys: frozenset[str]
) -> None:
    (cell,) = (cells[1] for cells in table("Search", "level") if cells[0] == level)

    told = {path_of(name) for name in re.findall(r"\b[A-Z][A-Za-z.]+\b", cell)}

    assert told == keys


@pytest.mark.parametrize("level", REQUIRED)
def test_the_bold_keys_are_those_that_the_standard_requires(level: str) -> None:
    (cell,) = (cells[1] for cells in table("Search", "level") if cells[0] == level)

    assert sorted(re.findall(r"\*\*([\w.]+)\*\*", cell)) == sorted(REQUIRED[level].split())


@pytest.mark.parametrize(
    ("heading", "sentence"),
    [
        ("Search", f"`limit` ({query.MAX_RESULTS:,} at most"),
        ("Search", f"`offset` ({query.DEEPEST:,} at most)"),
        ("Search", f"looks into at most {instances.MOST_SERIES} series"),
        ("Search", f"{matching.MOST_PATTERNS} values or patterns in a list"),
        ("Retrieve", f"{MAX_FRAMES:,} frames in one request"),
        ("Rendered", f"sides of 1 to {MAX_SIDE:,}"),
        ("Rendered", f"{rendered.MOST_PICTURES:,} pictures in one answer"),
        ("Store", f"{stow.MOST_METADATA_BYTES // 2**20} MiB of metadata"),
        ("Store", f"{stow.MOST_METADATA_NODES // 10**6} million values"),
    ],
)
def test_every_bound_on_the_page_is_that_of_the_code(heading: str, sentence: str) -> None:
    assert sentence in " ".join(section(PAGE, heading).split())


def test_the_parameters_of_pictures_are_those_that_are_read() -> None:
    assert tuple(cells[0].strip("`") for cells in table("Rendered", "parameter")) == KNOWN
    (values,) = (cells[1] for cells in table("Rendered", "parameter") if cells[0] == "`annotation`")
    assert tuple(re.findall(r"`([a-z]+)`", values)) == NOTES


def test_the_parameters_of_wado_uri_are_those_that_are_read() -> None:
    rows = table("WADO-URI", "parameter")
    told = {name for cells in rows for name in re.findall(r"`([^`]+)`", cells[0])}

    assert told == wado_uri.PARAMETERS
    assert set(MEDIA_TYPE.findall(rows[0][1])) == wado_uri.OFFERED


def syntaxes(text: str) -> set[str]:
    """Syntaxes by name, by whole UID, or by ``.NN`` below 1.2.840.10008.1.2.4."""
    whole = set(re.findall(r"1\.2\.840\.[\d.]+\d", text))
    short = re.findall(r"(?<![\d.])\.(\d+)", text)
    found = whole | {f"1.2.840.10008.1.2.4.{number}" for number in short}
    return found | {str(uid) for uid in NAMED.get(text, ())}


def test_the_transfer_syntaxes_that_are_read_and_made_are_those_of_the_codecs() -> None:
    read, made = set(), set()
    for row, can_read, can_make in table("Retrieve", "transfer syntax"):
        if can_read == "yes":
            read |= syntaxes(row)
        if can_make != "no":
            made |= syntaxes(can_make) or syntaxes(row)

    assert read == {str(uid) for uid in (*CODECS, *NATIVE)}
    assert made == {str(uid) for uid in (*TARGETS, *NATIVE_TARGETS)}


def test_every_failure_reason_of_a_store_is_explained() -> None:
    assert {cells[0] for cells in table("Store", "code")} == {f"{each:04X}" for each in Failure}


def test_every_reason_of_a_deletion_is_named() -> None:
    named = set(re.findall(r"`([a-z-]+)`", section(PAGE, "Delete")))

    assert named == set(Deletion.Reason.values)


def status_of_kind(kind: Kind) -> int:
    error = DomainError()
    error.kind = kind
    return status_of(error)


def test_every_status_of_a_refusal_and_of_a_store_is_explained() -> None:
    told = {
        int(number)
        for cells in table("Statuses", "status")
        for number in re.findall(r"\d{3}", cells[0])
    }
    # The failures of hospitals (502) reach no reader: what is not here yet is 503.
    refusals = {status_of_kind(kind) for kind in Kind if kind is not Kind.UPSTREAM}
    stores = {
        store_response.OK,
        store_response.ACCEPTED,
        *(status for status, _ in stow.STATUS.values()),
    }

    assert {*refusals, *stores} - told == set()
