"""The page on FHIR says what the tables of the code say."""

from __future__ import annotations

import re

from config.fhir import urlpatterns
from hospitals.fhir import RESOURCES as HOSPITALS
from sharing.fhir import RESOURCES as SHARING
from tests.architecture.test_docs import DOCS, first_cells, section

PAGE = (DOCS / "conformance" / "fhir.md").read_text(encoding="utf-8")
KINDS = {kind.name: kind for kind in (*SHARING, *HOSPITALS)}


def rows(heading: str) -> dict[str, list[set[str]]]:
    """The words in backticks of each further cell, by the word in the first one."""
    lines = [line for line in section(PAGE, heading).splitlines() if line.startswith("| `")]
    words = [[re.findall(r"`([^`]+)`", cell) for cell in line.split("|")[1:-1]] for line in lines]
    return {line[0][0]: [set(cell) for cell in line[1:]] for line in words}


def test_every_resource_type_is_on_the_page_and_no_other() -> None:
    assert first_cells(section(PAGE, "Resource types")) == list(KINDS)


def test_every_search_parameter_is_on_the_page_and_no_other() -> None:
    told = rows("Search parameters")

    assert {name: cells[0] for name, cells in told.items()} == {
        name: {each.name for each in kind.parameters} for name, kind in KINDS.items()
    }


def test_every_chained_parameter_is_on_the_page_and_no_other() -> None:
    for name, cells in rows("Search parameters").items():
        starts = {word for word in cells[1] if word.endswith(".")}
        ends = cells[1] - starts

        assert {start + end for start in starts for end in ends} == set(KINDS[name].chained)


def test_every_include_is_on_the_page_and_no_other() -> None:
    told = set(re.findall(r"`([A-Z][A-Za-z]+:[a-z]+)`", section(PAGE, "Bundles")))

    assert told == {f"{kind.name}:{each.name}" for kind in KINDS.values() for each in kind.includes}


def test_a_patient_search_says_on_the_page_what_it_needs() -> None:
    (sentence,) = re.findall(r"A search of Patient needs one of ([^;]+);", PAGE)

    assert set(re.findall(r"`([^`]+)`", sentence)) == set(KINDS["Patient"].narrowed_by)


def test_every_interaction_has_a_route_and_every_route_an_interaction() -> None:
    told = set(first_cells(section(PAGE, "Interactions")))
    routes = {str(route.pattern).replace("<str:resource_id>", "{id}") for route in urlpatterns}

    asked = {each.replace("{type}", name) for each in told for name in KINDS}
    assert asked == routes - {"", "<path:rest>"}
