"""The HL7 conformance page says what the code reads, and nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

from common.hl7 import charset
from sharing.domain.hl7 import order, patient, result, visit
from sharing.services.hl7.acting import ACTS
from tests.architecture.test_docs import first_cells, section

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "conformance" / "hl7.md").read_text(encoding="utf-8")
# Which segment a variable of the readers holds, and the numbers that its methods are asked for.
_VARIABLES = {
    "pid": "PID", "mrg": "MRG", "pv1": "PV1", "evn": "EVN", "orc": "ORC", "obr": "OBR", "obx": "OBX",
    "ipc": "IPC", "zds": "ZDS", "header": "MSH", "o": "OBX", "each": "OBX",
}  # fmt: skip
_READS = {"text", "whole", "repetitions", "instant", "day", "needed", "is_null"}
_HELPERS = {"clinician", "_name", "_silence"}


def fields_read() -> set[str]:
    """``PID-5`` for every place where a reader asks a segment for a field."""
    found: set[str] = set()
    for module in (order, patient, result, visit):
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                found |= _fields_of(node)
    return found


def _fields_of(call: ast.Call) -> set[str]:
    numbers = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
    if isinstance(call.func, ast.Attribute) and call.func.attr in _READS:
        holder = call.func.value
        name = holder.attr if isinstance(holder, ast.Attribute) else getattr(holder, "id", "")
        if name in _VARIABLES and numbers and isinstance(numbers[0], int):
            return {f"{_VARIABLES[name]}-{numbers[0]}"}
    if isinstance(call.func, ast.Name) and call.func.id in _HELPERS and call.args:
        name = getattr(call.args[0], "id", "")
        if name in _VARIABLES and numbers:
            return {f"{_VARIABLES[name]}-{numbers[0]}"}
    return set()


def cells(heading: str, table: int = 0) -> list[str]:
    """The words in backticks of the first column of a section's table, by its number."""
    tables = section(PAGE, heading).strip().split("\n\n")
    return first_cells([part for part in tables if part.startswith("|")][table])


def test_the_search_for_fields_still_works() -> None:
    assert {"PID-5", "PV1-19", "ORC-2", "OBR-18", "OBX-5", "ZDS-1", "OBR-32"} <= fields_read()


def test_every_message_that_is_acted_on_is_listed_and_no_other() -> None:
    assert set(cells("Messages")) == {f"{kind}^{event}" for kind, event in ACTS}


def test_every_field_that_is_read_is_listed() -> None:
    listed = set(cells("Fields"))

    assert fields_read() - listed == set()


def test_every_field_that_is_listed_is_read() -> None:
    loops = {"PID-3", "MRG-1", "PID-13", "PID-14"}  # asked for in a loop or by a helper
    header = {f"MSH-{at}" for at in (3, 4, 7, 9, 10, 11, 12, 15, 18)}  # by the answer's own reader

    assert set(cells("Fields")) - fields_read() - loops - header == set()


def test_the_types_of_identifiers_are_those_of_the_code() -> None:
    known = (
        patient.NUMBER_TYPES | patient.RESIDENT_ID_TYPES | patient.INSURANCE_TYPES | patient.CARD_TYPES
        | patient.PASSPORT_TYPES | patient.PERMIT_TYPES | patient.BIRTH_CERTIFICATE_TYPES
    )  # fmt: skip

    assert set(cells("Fields", 1)) == known - {""}


def test_the_result_statuses_are_those_of_the_code() -> None:
    assert set(cells("Fields", 2)) == set(result.STATUSES)


def test_every_character_set_that_is_listed_is_read() -> None:
    names = cells("Character sets")

    assert set(charset.NAMES) <= set(names)
    assert all(charset.codec_of(name) for name in names)
