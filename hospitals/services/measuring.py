"""Measuring what a DICOMweb origin can do, by a bounded number of real requests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from common.dicomweb.client import DicomwebOrigin
from common.dicomweb.errors import (
    OriginBusy,
    OriginError,
    OriginRefused,
    OriginTimeout,
    OriginUnreachable,
)
from hospitals.domain import samples
from hospitals.domain.abilities import Abilities

STUDY_UID, SERIES_UID, SOP_UID = "0020000D", "0020000E", "00080018"
PATIENT_ID, PATIENT_NAME, MODALITY = "00100020", "00100010", "00080060"
AVAILABLE_SYNTAX = "00083002"
EXTRA_FIELDS = ["00081030", "00100021", "00180015", "00080050"]
SAMPLE_STUDIES = 25
SAMPLE_SERIES = 3
HEAD_BYTES = 4096
NO_SUCH_VALUE = "ZZ-NO-SUCH-VALUE-7Q"
# Beyond this nothing further is asked: a slow origin must not hold the prober for long.
BUDGET_S = 90.0
T = TypeVar("T")


class _OverBudget(Exception):
    """The time is up; what was measured until now stands."""


class Measurement:
    """One probe of one origin. ``run`` may be called once."""

    def __init__(self, origin: DicomwebOrigin, clock: Callable[[], float] = time.monotonic) -> None:
        self._origin = origin
        self._clock = clock
        self._started = clock()
        self._found: dict[str, Any] = {}
        self._latency_ms: dict[str, int] = {}
        self._notes: list[str] = []

    def run(self) -> Abilities:
        """Ask and compare. Every ability is what the answers showed, or None.

        Raises:
            OriginError: the first search failed, so there is nothing to build on.
        """
        studies = self._timed("studies", lambda: self._search(limit=SAMPLE_STUDIES, offset=0))
        self._found["studies_seen"] = len(studies)
        if not studies:
            self._notes.append("The archive lists no study: nothing further could be measured.")
        else:
            self._measure(studies)
        return Abilities(
            **self._found,
            latency_ms=self._latency_ms,
            server=str(getattr(self._origin, "server", "") or "")[:100],
            notes=tuple(self._notes),
        )

    def _measure(self, studies: list[dict[str, Any]]) -> None:
        try:
            self._try("limit", lambda: len(self._search(limit=1, offset=0)) == 1, many=studies)
            self._try("offset", lambda: self._offset(studies), many=studies)
            self._try("includefield", lambda: self._includefield(studies))
            self._try("wildcards", lambda: self._wildcards(studies))
            self._try("percent_encoded", lambda: self._percent_encoded(studies))
            self._try("han_values", lambda: self._han_values(studies))
            self._try_series(studies)
        except _OverBudget:
            self._notes.append("The archive answers slowly: the rest was not measured.")

    def _try(
        self, name: str, measure: Callable[[], bool | None], *, many: list[Any] | None = None
    ) -> None:
        """Measure one ability; a refusal of the question is a no, a broken line is not known."""
        if many is not None and len(many) < 2:
            return  # one study looks the same whatever limit and offset say
        if self._clock() - self._started > BUDGET_S:
            raise _OverBudget
        try:
            self._found[name] = measure()
        except (OriginUnreachable, OriginTimeout, OriginBusy, OriginRefused) as error:
            self._notes.append(f"{name}: {error.message}")
        except OriginError as error:
            self._found[name] = False
            self._notes.append(f"{name}: {error.message}")

    def _search(self, **arguments: Any) -> list[dict[str, Any]]:
        return self._origin.search("studies", **arguments)

    def _offset(self, studies: list[dict[str, Any]]) -> bool:
        second = self._search(limit=1, offset=1)
        past_the_end = self._search(limit=1, offset=10_000_000)
        first_uid = samples.value(studies[0], STUDY_UID)
        moved = bool(second) and samples.value(second[0], STUDY_UID) != first_uid
        return moved and not past_the_end

    def _includefield(self, studies: list[dict[str, Any]]) -> bool | None:
        refused_before = self._origin.includefield_refused
        asked = self._search(fields=EXTRA_FIELDS, limit=SAMPLE_STUDIES, offset=0)
        if self._origin.includefield_refused and not refused_before:
            return False
        unasked = {tag for study in studies for tag in study}
        given = {tag for study in asked for tag in study}
        wanted = set(EXTRA_FIELDS)
        if wanted & (given - unasked) or wanted <= unasked:
            return True
        return False if not wanted & given else None

    def _wildcards(self, studies: list[dict[str, Any]]) -> bool | None:
        sample = samples.with_value(studies, PATIENT_ID, least=2)
        if sample is None:
            return None
        text = samples.value(sample, PATIENT_ID)
        found = self._search(filters={"PatientID": text[:-1] + "*"}, limit=200, offset=0)
        nonsense = self._search(filters={"PatientID": NO_SUCH_VALUE + "*"}, limit=1, offset=0)
        return samples.holds(found, PATIENT_ID, text) and not nonsense

    def _percent_encoded(self, studies: list[dict[str, Any]]) -> bool | None:
        special = [
            study for study in studies if set(samples.value(study, PATIENT_NAME)) & set("^ =")
        ]
        sample = samples.with_value(special, PATIENT_NAME, least=2)
        if sample is None:
            return None
        text = samples.value(sample, PATIENT_NAME)
        found = self._search(filters={"PatientName": text}, limit=200, offset=0)
        return samples.holds(found, PATIENT_NAME, text)

    def _han_values(self, studies: list[dict[str, Any]]) -> bool | None:
        sample = next((study for study in studies if samples.han_text(study, PATIENT_NAME)), None)
        if sample is None:
            return None
        text = samples.han_text(sample, PATIENT_NAME)
        found = self._search(filters={"PatientName": f"*{text}*"}, limit=200, offset=0)
        uid = samples.value(sample, STUDY_UID)
        return samples.holds(found, STUDY_UID, uid) and all(
            text in str(study.get(PATIENT_NAME)) for study in found
        )

    def _try_series(self, studies: list[dict[str, Any]]) -> None:
        """/metadata of one series, and one instance of up to three of different modalities."""
        chosen = self._choose_series(studies)
        if not chosen:
            return
        uids = chosen[0]
        self._try("metadata", lambda: self._timed("metadata", lambda: self._metadata(uids)))
        returned: list[str] = []
        verdicts: list[bool | None] = []
        for series in chosen:
            self._try("retrieved", lambda uids=series: self._instance(uids, returned, verdicts))  # type: ignore[misc]
        self._found.pop("retrieved", None)
        self._found["transfer_syntaxes"] = tuple(dict.fromkeys(returned))
        known = [verdict for verdict in verdicts if verdict is not None]
        self._found["stored_syntax"] = all(known) if known else None
        self._found["any_syntax"] = self._origin.accept_any_syntax if returned else None

    def _choose_series(self, studies: list[dict[str, Any]]) -> list[tuple[str, str]]:
        chosen: dict[str, tuple[str, str]] = {}
        for study in studies[: 2 * SAMPLE_SERIES]:
            uid = samples.value(study, STUDY_UID)
            rows: list[dict[str, Any]] = []

            def look(uid: str = uid, rows: list[dict[str, Any]] = rows) -> None:
                path = f"studies/{uid}/series"
                rows.extend(
                    self._timed("series", lambda: self._origin.search(path, limit=50, offset=0))
                )

            self._try("series", lambda look=look: look())  # type: ignore[misc]
            for row in rows:
                modality = samples.value(row, MODALITY)
                chosen.setdefault(modality, (uid, samples.value(row, SERIES_UID)))
            if len(chosen) >= SAMPLE_SERIES:
                break
        self._found.pop("series", None)
        return [pair for pair in chosen.values() if all(pair)][:SAMPLE_SERIES]

    def _metadata(self, uids: tuple[str, str]) -> bool:
        study, series = uids
        found = self._origin.retrieve_metadata(study_instance_uid=study, series_instance_uid=series)
        return any(samples.value(row, SERIES_UID) == series for row in found)

    def _instance(
        self, uids: tuple[str, str], returned: list[str], verdicts: list[bool | None]
    ) -> bool:
        study, series = uids
        path = f"studies/{study}/series/{series}/instances"
        rows = self._timed("instances", lambda: self._origin.search(path, limit=1, offset=0))
        sop = samples.value(rows[0], SOP_UID) if rows else ""
        if not sop:
            return False
        syntax = self._timed("instance", lambda: self._syntax(study, series, sop))
        if syntax:
            returned.append(syntax)
            available = samples.value(rows[0], AVAILABLE_SYNTAX)
            verdicts.append(samples.is_stored_syntax(returned=syntax, available=available))
        return bool(syntax)

    def _syntax(self, study: str, series: str, sop: str) -> str:
        """The syntax of one instance by its first bytes; the rest is not fetched."""
        with self._origin.retrieve_instance(
            study_instance_uid=study, series_instance_uid=series, sop_instance_uid=sop
        ) as parts:
            for part in parts:
                head = b""
                for chunk in part.chunks():
                    head += chunk[:HEAD_BYTES]
                    if len(head) >= HEAD_BYTES:
                        break
                return samples.transfer_syntax(
                    content_type=part.headers.get("content-type", ""), head=head
                )
        return ""

    def _timed(self, kind: str, ask: Callable[[], T]) -> T:
        start = self._clock()
        answer = ask()
        self._latency_ms.setdefault(kind, round(1000 * (self._clock() - start)))
        return answer
