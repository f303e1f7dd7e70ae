"""A hospital's DICOMweb origin, read: searches through dicomweb-client, instances through our own stream.

dicomweb-client parses every instance into memory and writes it anew; the archive wants the bytes as sent. So
the Retrieve Transaction (PS3.18 §10.4) is read here, incrementally, and only the searches use the library.
"""

from __future__ import annotations

import base64
import datetime as dt
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import requests
from dicomweb_client.web import DICOMwebClient

from common.dicomweb import errors
from common.dicomweb.media_types import DICOM, parse_media_type
from common.dicomweb.multipart import IncomingPart, iter_parts
from common.dicomweb.origin import DicomJson, Matches, SearchPage, first_value
from common.dicomweb.session import (
    ClientCredentials,
    OriginConfig,
    OriginSession,
    check_status,
    paced_chunks,
    translated,
)

__all__ = ["DicomwebOrigin", "OriginConfig"]

STUDY_UID, SERIES_UID, SOP_UID = "0020000D", "0020000E", "00080018"
STUDY_DATE = "00080020"
MAX_RESULTS = 200_000  # of one search, all pages together
# So many results of a search may be a page that the origin cut, whatever was asked.
CUSTOMARY_LIMITS = frozenset({10, 20, 25, 50, 100, 200, 250, 500, 1000})
STUDY_FIELDS = [
    "00080061",
    "00080090",
    "00081030",
    "00100021",
    "00201206",
    "00201208",
]  # Modalities in Study, Referring Physician, Study Description, Issuer of Patient ID, counts
SERIES_FIELDS = ["00080021", "00080031", "0008103E", "00180015", "00201209"]
# For origins that refuse transfer-syntax=*: every syntax by name, so that bytes still come as they are stored.
KNOWN_SYNTAXES = [
    f"1.2.840.10008.1.2{suffix}"
    for suffix in (
        ".1", "", ".2", ".1.99", ".5", ".4.50", ".4.51", ".4.57", ".4.70", ".4.80", ".4.81", ".4.90",
        ".4.91", ".4.92", ".4.93", ".4.100", ".4.102", ".4.103", ".4.104", ".4.110", ".4.111", ".4.112",
        ".4.201", ".4.202", ".4.203", ".8.1",
    )
]  # fmt: skip
_PART = 'multipart/related; type="application/dicom"'
ACCEPT_FORMS = (
    f"{_PART}; transfer-syntax=*",
    ", ".join(f"{_PART}; transfer-syntax={uid}" for uid in KNOWN_SYNTAXES),
    _PART,
)
T = TypeVar("T")
_UID = re.compile(r"[0-9][0-9.]{0,63}")

# The library logs addresses with their queries, and what servers write into Warning headers.
logging.getLogger("dicomweb_client").setLevel(logging.ERROR)


class DicomwebOrigin:
    """One hospital's DICOMweb origin server as an ``Origin``. For one thread; close it after use.

    What was learnt on the way can be read afterwards: ``accept_any_syntax`` (False once the origin refused
    ``transfer-syntax=*`` and another form worked), ``offset_ignored``, ``filter_ignored``, ``includefield_refused``.
    """

    def __init__(self, config: OriginConfig) -> None:
        self.config = config
        base_url = config.rules().check_url(config.base_url, resolve_name=False)
        self._base_url = base_url
        self._session = OriginSession(config)
        self._credentials = ClientCredentials(self._session) if config.auth == "oauth2" else None
        self._library = DICOMwebClient(base_url, session=self._session, permissive_uid=True)
        self._library.set_http_retry_params(retry=False)
        self._form = 0 if config.accept_any_syntax else 1
        self._first_uids: dict[tuple[object, ...], Any] = {}
        self._largest_page: dict[str, int] = {}
        self.offset_ignored = False
        self.filter_ignored = False
        self.includefield_refused = not config.send_includefield
        self._authorize()

    @property
    def accept_any_syntax(self) -> bool:
        """Whether ``transfer-syntax=*`` is what instances are asked for with."""
        return self._form == 0

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    # Search Transaction (PS3.18 §10.6)

    def search_studies(
        self,
        *,
        since: dt.date | None,
        until: dt.date | None,
        study_instance_uid: str | None = None,
        limit: int,
        offset: int,
    ) -> SearchPage:
        """One page of studies; results outside the dates or the UID are left out on our side too."""
        filters: dict[str, str] = {}
        if since or until:
            filters["StudyDate"] = f"{_da(since)}-{_da(until)}"
        if study_instance_uid:
            filters["StudyInstanceUID"] = _uid(study_instance_uid)
        window = (since, until, study_instance_uid)
        if offset and window not in self._first_uids:
            # Paging goes on where another process stopped: what does the first page begin with?
            start = self.search("studies", filters=filters, limit=1, offset=0)
            self._first_uids[window] = first_value(start[0], STUDY_UID) if start else None
        found = self.search(
            "studies", filters=filters, fields=STUDY_FIELDS, limit=limit, offset=offset
        )
        if not found:
            return SearchPage([])
        first = first_value(found[0], STUDY_UID)
        if offset and first == self._first_uids[window]:
            self.offset_ignored = True
            return SearchPage([], received=len(found), offset_ignored=True)
        if not offset:
            self._first_uids[window] = first
        fitting = [study for study in found if _fits(study, since, until, study_instance_uid)]
        ignored = len(fitting) < len(found)
        self.filter_ignored = self.filter_ignored or ignored
        return SearchPage(fitting, received=len(found), filter_ignored=ignored)

    def match_studies(self, *, filters: Mapping[str, str], most: int, until: float) -> Matches:
        """Studies by whatever keys, page by page.

        Raises:
            OriginTimeout: the pages did not end in time.
        """
        found: dict[Any, DicomJson] = {}
        received = 0
        limit = min(most, self.config.page_size)
        while True:
            page = self.search(
                "studies", filters=dict(filters), fields=STUDY_FIELDS, limit=limit, offset=received
            )
            new = {first_value(each, STUDY_UID): each for each in page}
            new = {uid: each for uid, each in new.items() if uid not in found}
            found.update(new)
            full = len(page) >= limit or len(page) in CUSTOMARY_LIMITS
            if not new or not full:
                # The first page again, full as it is: what follows it cannot be had.
                return Matches(list(found.values()), cut=bool(page and not new and full))
            received += len(page)
            if len(page) > limit or len(found) >= most:  # everything at once, or more than is taken
                return Matches(list(found.values()), cut=len(page) <= limit)
            if time.monotonic() > until:
                raise errors.OriginTimeout("The hospital's archive did not list all in time.")

    def search_series(self, *, study_instance_uid: str) -> list[DicomJson]:
        """All series of a study."""
        path = f"studies/{_uid(study_instance_uid)}/series"
        return self._search_all(path, level="series", key=SERIES_UID, fields=SERIES_FIELDS)

    def search_instances(
        self, *, study_instance_uid: str, series_instance_uid: str
    ) -> list[DicomJson]:
        """All instances of a series."""
        path = f"studies/{_uid(study_instance_uid)}/series/{_uid(series_instance_uid)}/instances"
        return self._search_all(path, level="instances", key=SOP_UID, fields=None)

    def _search_all(
        self, path: str, *, level: str, key: str, fields: list[str] | None
    ) -> list[DicomJson]:
        """Every page of a search, each result once.

        Ends at an empty page, at one that brings nothing new (the offset was ignored), at one shorter than
        the origin is known to send, or at ``MAX_RESULTS``.
        """
        found: dict[Any, DicomJson] = {}
        received = 0
        while received < MAX_RESULTS:
            page = self.search(path, fields=fields, limit=self.config.page_size, offset=received)
            new = {first_value(result, key): result for result in page}
            new = {uid: result for uid, result in new.items() if uid not in found}
            if page and not new and received:
                self.offset_ignored = True
            if not new:
                break
            found.update(new)
            received += len(page)
            largest = self._largest_page.get(level, 0)
            self._largest_page[level] = max(largest, len(page))
            if len(page) < largest:
                break
        return list(found.values())

    def search(
        self,
        path: str,
        *,
        filters: dict[str, str] | None = None,
        fields: list[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[DicomJson]:
        """One search as it is: ``studies``, ``series``, ``studies/{uid}/series``, …; also used by the probe.

        ``limit`` is a wish: what an origin sends beyond it is returned too, up to the byte limit of an answer.
        """
        fields = None if self.includefield_refused else fields
        ask = self._library_search(path)
        arguments: dict[str, Any] = {"search_filters": filters, "limit": limit, "offset": offset}
        try:
            return self._asked(lambda: ask(fields=fields, **arguments))
        except errors.OriginAnswerInvalid as error:
            if not fields or error.facts.get("status") != 400:
                raise
            found = self._asked(lambda: ask(fields=None, **arguments))
            self.includefield_refused = True
            return found

    def _library_search(self, path: str) -> Callable[..., Any]:
        *parents, level = path.strip("/").split("/")
        uids = dict(zip(parents[::2], parents[1::2], strict=True))
        study, series = uids.get("studies"), uids.get("series")
        if level == "studies":
            return self._library.search_for_studies
        if level == "series":
            return lambda **query: self._library.search_for_series(study, **query)
        return lambda **query: self._library.search_for_instances(study, series, **query)

    def retrieve_metadata(
        self, *, study_instance_uid: str, series_instance_uid: str
    ) -> list[DicomJson]:
        """The metadata of a series' instances, as far as one bounded answer holds it (PS3.18 §10.4.1.1.2)."""
        study, series = _uid(study_instance_uid), _uid(series_instance_uid)
        return self._asked(lambda: self._library.retrieve_series_metadata(study, series))

    def _asked(self, ask: Callable[[], Any]) -> list[DicomJson]:
        """Run a search of the library; a token that was refused is renewed once."""
        try:
            return _results(ask)
        except errors.OriginRefused:
            if not self._authorize(fresh=True):
                raise
            return _results(ask)

    # Retrieve Transaction (PS3.18 §10.4)

    @contextmanager
    def retrieve_series(
        self, *, study_instance_uid: str, series_instance_uid: str
    ) -> Iterator[Iterator[IncomingPart]]:
        """The instances of a series as stored. Left early, the connection is closed at once."""
        path = f"studies/{_uid(study_instance_uid)}/series/{_uid(series_instance_uid)}"
        with self._retrieved(path) as parts:
            yield parts

    @contextmanager
    def retrieve_instance(
        self, *, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str
    ) -> Iterator[Iterator[IncomingPart]]:
        """One instance as stored."""
        path = (
            f"studies/{_uid(study_instance_uid)}/series/{_uid(series_instance_uid)}"
            f"/instances/{_uid(sop_instance_uid)}"
        )
        with self._retrieved(path) as parts:
            yield parts

    @contextmanager
    def _retrieved(self, path: str) -> Iterator[Iterator[IncomingPart]]:
        response = self._open(path)
        try:
            if response.status_code == 204:
                raise errors.OriginNotFound(status=204)
            yield _parts_of(response, self.config)
        finally:
            response.close()  # unread bytes are not waited for: the connection goes

    def _open(self, path: str) -> requests.Response:
        """The first form of Accept that the origin does not refuse (400, 406, 415); it is kept for next time."""
        for form in range(self._form, len(ACCEPT_FORMS)):
            response = self._get(path, ACCEPT_FORMS[form])
            if response.status_code == 401 and self._authorize(fresh=True):
                response.close()
                response = self._get(path, ACCEPT_FORMS[form])
            if response.status_code in (400, 406, 415) and form < len(ACCEPT_FORMS) - 1:
                response.close()
                continue
            try:
                check_status(response)
            except errors.OriginError:
                response.close()
                raise
            self._form = form
            return response
        raise errors.OriginAnswerInvalid("The hospital's archive accepts no form of request.")

    def _get(self, path: str, accept: str) -> requests.Response:
        with translated():
            return self._session.get(
                f"{self._base_url}/{path}",
                headers={"Accept": accept, "Accept-Encoding": "identity"},
                stream=True,
            )

    def _authorize(self, *, fresh: bool = False) -> bool:
        """Set the Authorization header; with ``fresh``, tell whether there is a new one to try with."""
        secret, kind = self.config.secret, self.config.auth
        if kind == "basic":
            pair = f"{secret.get('username', '')}:{secret.get('password', '')}"
            value = "Basic " + base64.b64encode(pair.encode()).decode()
        elif kind == "bearer":
            value = f"Bearer {secret.get('token', '')}"
        elif self._credentials is not None:
            self._session.headers.pop("Authorization", None)
            value = f"Bearer {self._credentials.token(fresh=fresh)}"
        else:
            return False
        self._session.headers["Authorization"] = value
        return fresh and self._credentials is not None


def _results(ask: Callable[[], Any]) -> list[DicomJson]:
    """Run one search of the library and check the form of its answer."""
    try:
        with translated():
            found = ask()
    except errors.OriginAnswerInvalid as error:
        cause = error.__cause__
        if isinstance(cause, requests.exceptions.HTTPError) and cause.response is not None:
            check_status(cause.response)
        raise
    except (ValueError, RecursionError) as error:
        raise errors.OriginAnswerInvalid("The answer to a search is not JSON.") from error
    if not isinstance(found, list) or not all(isinstance(result, dict) for result in found):
        raise errors.OriginAnswerInvalid("The answer to a search is not a list of data sets.")
    return found


def _parts_of(response: requests.Response, config: OriginConfig) -> Iterator[IncomingPart]:
    """The parts of an answer; one bare application/dicom body counts as one part."""
    found = parse_media_type(response.headers.get("Content-Type", ""))
    chunks = _checked(paced_chunks(response, config))
    if found is not None and found.is_multipart and found.boundary:
        parts = iter_parts(chunks, boundary=found.boundary)
    elif found is not None and found.name == DICOM:
        parts = iter([IncomingPart({"content-type": DICOM}, chunks)])
    else:
        raise errors.OriginAnswerInvalid(
            f"The answer is {found.name if found else 'of no known type'}, not DICOM instances."
        )
    for part in _checked(parts):
        yield IncomingPart(part.headers, _checked(part.chunks()))


def _checked(items: Iterator[T]) -> Iterator[T]:
    """The items, with faults of transport and of form as ``OriginError``."""
    try:
        with translated():
            yield from items
    except errors.MalformedMultipart as error:
        if error.reason == errors.MalformedMultipart.CUT_OFF:
            raise errors.OriginCutOff("The answer broke off.") from error
        raise errors.OriginAnswerInvalid(error.message, reason=error.reason) from error


def _uid(text: str) -> str:
    """A UID that may stand in a path: what a hostile list names could be ``../../`` otherwise."""
    if not _UID.fullmatch(text):
        raise errors.OriginAnswerInvalid("A UID in the hospital's list is not valid.")
    return text


def _da(day: dt.date | None) -> str:
    return f"{day:%Y%m%d}" if day else ""


def _fits(
    study: DicomJson, since: dt.date | None, until: dt.date | None, study_instance_uid: str | None
) -> bool:
    """Whether a result lies within the question; a study without a date fits every window."""
    if study_instance_uid and first_value(study, STUDY_UID) != study_instance_uid:
        return False
    day = str(first_value(study, STUDY_DATE) or "").replace(".", "")[:8]
    if not re.fullmatch(r"\d{8}", day):
        return True
    return (not since or day >= _da(since)) and (not until or day <= _da(until))
