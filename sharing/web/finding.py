"""Persons that the search of the study list leads to, and what a reader can do who may not see them yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from common.errors import DomainError
from hospitals import selectors as hospitals
from sharing.domain.quick import DOCUMENTS, OF_PERSONS, Kind
from sharing.selectors.listing import StudySearch
from sharing.selectors.person_question import PersonSearch
from sharing.selectors.persons import PersonPage, PersonRow, find_persons

if TYPE_CHECKING:
    from common.accounts.models import User
    from sharing.web.forms import StudySearchForm


_BY_HASH: dict[Kind, Callable[[str], dict[str, Any]]] = {
    Kind.RESIDENT_ID: lambda text: {"resident_id": text},
    Kind.INSURANCE_CODE: lambda text: {"insurance_code": text},
    Kind.CARD: lambda text: {"card": text},
    Kind.PHONE: lambda text: {"phone": text},
}


@dataclass(frozen=True)
class Found:
    """A person of the answer, with the names of the hospitals."""

    row: PersonRow
    hospitals: tuple[str, ...]


def persons_for(
    actor: User, form: StudySearchForm, search: StudySearch
) -> tuple[StudySearch, dict[str, Any]]:
    """The search, narrowed to the examinations of the persons whom it names, and what is said of these.

    A name alone lists examinations: whoever knows no more of the patient looks through these.
    """
    wanted = _question(form, search)
    if wanted is None:
        return search, {"persons": None}
    try:
        page = find_persons(actor=actor, search=wanted)
    except DomainError as error:
        return replace(search, person_ids=()), {"persons": [], "not_found_because": error.code}
    kind, text = form.what()
    if text and kind in OF_PERSONS:
        search = replace(search, person_ids=tuple(row.person.pk for row in page.rows))
    return search, {"persons": _with_hospitals(page), "persons_page": page}


def _question(form: StudySearchForm, search: StudySearch) -> PersonSearch | None:
    kind, text = form.what()
    question = PersonSearch(sex=search.sex, birth_date=search.birth_date)
    if text and kind in DOCUMENTS:
        return replace(question, document_type=str(kind), document=text)
    if text and kind in OF_PERSONS:
        return replace(question, **_BY_HASH[kind](text))
    number = search.patient_id or (text if kind is Kind.NUMBER else "")
    if number and search.institution_code:
        return replace(question, number=number, institution_code=search.institution_code)
    if search.patient_name and search.birth_date:
        return replace(question, name=search.patient_name)
    return None


def _with_hospitals(page: PersonPage) -> list[Found]:
    ids = {each for row in page.rows for each in row.institution_ids}
    names = hospitals.institution_names(ids)
    return [
        Found(row, tuple(names[each] for each in row.institution_ids if each in names))
        for row in page.rows
    ]
