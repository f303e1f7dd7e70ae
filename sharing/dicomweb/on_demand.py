"""What answers say of studies that are not wholly here, and of hospitals that were asked: headers and links."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from common.problem import dicomweb_error
from sharing.domain.coverage import HospitalAnswer, Outcome
from sharing.errors import NotPulledYet
from sharing.models import Study

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.http.response import HttpResponseBase

    from sharing.domain.coverage import Coverage
    from sharing.selectors import SeriesPlace, StudyPlace

MOST_NAMED = 20  # a header line of some kilobytes is refused by clients and proxies
COVERAGE_HEADER = "Federated-Coverage"


def not_here_yet(request: HttpRequest, refusal: NotPulledYet, place: StudyPlace) -> HttpResponse:
    """503 with when to ask again, and where the progress is: in ``Link`` (RFC 8631, status) and in the body."""
    progress = reverse("api-retrieval", args=[place.institution_code, place.study_instance_uid])
    return dicomweb_error(
        request,
        503,
        f"{refusal.message} Progress: {progress}",
        code=refusal.code,
        headers={
            "Retry-After": str(int(refusal.retry_after_s)),
            "Link": f'<{progress}>; rel="status"; type="application/json"',
        },
    )


def require_reader(request: HttpRequest) -> None:
    """Who asks for the head alone reads nothing: for it no hospital is asked, and no place of a reader is taken.

    Raises:
        NotPulledYet: it is such a request.
    """
    if request.method == "HEAD":
        raise NotPulledYet("This is still at its hospital, and not fetched for a HEAD request.")


def is_index_only(place: StudyPlace) -> bool:
    """Whether nothing of the study is here, so that its hospital knows more than we do."""
    return place.state == Study.State.INDEXED


def shortfalls(places: Iterable[SeriesPlace], missing: Iterable[str] = ()) -> list[str]:
    """What an answer lacks of what the hospital lists, in sentences for ``Warning``."""
    said = [
        f"{place.missing_count} instances of the series {place.series_instance_uid} that the hospital "
        "lists are not in the archive."
        for place in places
        if place.missing_count
    ]
    said += [
        f"The series {uid} is listed by the hospital, which does not send it." for uid in missing
    ]
    if len(said) > MOST_NAMED:
        said[MOST_NAMED:] = [f"{len(said) - MOST_NAMED} further series are not whole."]
    return said


def add_warnings(answer: HttpResponseBase, agent: str, texts: Iterable[str]) -> None:
    """Further ``Warning`` entries; ``agent`` is the root that was asked."""
    entries = [f'299 {agent} "{text}"' for text in texts]
    if before := answer.get("Warning"):
        entries.insert(0, before)
    if entries:
        answer["Warning"] = ", ".join(entries)


def add_alternates(answer: HttpResponseBase, addresses: Iterable[str]) -> None:
    """The same resource elsewhere, in ``Link`` (RFC 8288)."""
    links = [f'<{address}>; rel="alternate"' for address in addresses][:MOST_NAMED]
    if before := answer.get("Link"):
        links.insert(0, before)
    if links:
        answer["Link"] = ", ".join(links)


def add_coverage(answer: HttpResponseBase, agent: str, coverage: Coverage) -> None:
    """How far a federated answer can be trusted: figures in a header, each gap as a warning, all by link."""
    complete = "?1" if coverage.complete else "?0"
    answer[COVERAGE_HEADER] = (
        f"asked={len(coverage.hospitals)}, answered={coverage.answered}, complete={complete}"
    )
    there = reverse("api-coverage", args=[coverage.id])
    answer["Link"] = f'<{there}>; rel="describedby"; type="application/json"'
    gaps = [_gap(each) for each in coverage.missing]
    if len(gaps) > MOST_NAMED:
        gaps[MOST_NAMED:] = [f"{len(gaps) - MOST_NAMED} further hospitals did not answer in full."]
    if not coverage.hospitals:
        gaps = ["No hospital was asked."]
    add_warnings(answer, agent, gaps)


_SAID = {
    Outcome.CUT: "answered in part",
    Outcome.FAILED: "failed to answer",
    Outcome.LATE: "did not answer in time",
    Outcome.NOT_ASKED: "was not asked",
}


def _gap(answer: HospitalAnswer) -> str:
    known = f"{answer.known_as_of:%Y-%m-%dT%H:%M:%SZ}" if answer.known_as_of else "never"
    reason = f" ({answer.reason})" if answer.reason else ""
    return f"The hospital {answer.code} {_SAID[answer.outcome]}{reason}; its list is known as of {known}."
