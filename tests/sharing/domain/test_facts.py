"""What the index keeps, read from DICOM JSON."""

from datetime import date

import pytest

from sharing.domain import facts


def one(tag: str, value: object, vr: str = "LO") -> dict[str, object]:
    return {tag: {"vr": vr, "Value": [value]}}


def test_a_person_name_keeps_its_component_groups() -> None:
    name = {"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东"}

    read = facts.study_facts(one("00100010", name, "PN"))

    assert read.patient_name == "Wang^XiaoDong=王^小东"


@pytest.mark.parametrize(
    ("sent", "day"),
    [
        ("20240229", date(2024, 2, 29)),
        ("2024.02.29", date(2024, 2, 29)),
        ("20230229", None),
        ("", None),
        ("yesterday", None),
        ("２０２４０２２９", date(2024, 2, 29)),
    ],
)
def test_a_day_that_is_no_day_is_left_empty(sent, day) -> None:
    assert facts.study_facts(one("00080020", sent, "DA")).study_date == day


@pytest.mark.parametrize("sent", ["x", "", None, 2**40, -(2**31) - 1, "1e3"])
def test_a_series_number_that_no_column_holds_is_left_empty(sent) -> None:
    assert facts.series_facts(one("00200011", sent, "IS")).series_number is None


def test_text_has_no_nul_no_padding_and_fits_its_column() -> None:
    read = facts.study_facts(one("00081030", " CT\x00 胸部 " + "x" * 500))

    assert read.study_description.startswith("CT 胸部")
    assert len(read.study_description) == 256


@pytest.mark.parametrize(
    "broken", [{}, {"00100020": None}, {"00100020": {"vr": "LO", "Value": "P"}}]
)
def test_answers_out_of_form_give_empty_facts(broken) -> None:
    assert facts.study_facts(broken).patient_id == ""


def test_modalities_of_a_search_answer_are_sorted_without_repeats() -> None:
    row = {"00080061": {"vr": "CS", "Value": ["SR", "CT", "CT", None]}}

    assert facts.modalities_in_study(row) == ["CT", "SR"]
