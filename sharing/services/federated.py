"""Ask the hospitals now: the live archives that a reader may see, in parallel, until a deadline.

What fits the question and is new goes into the index as *indexed*; rows that are there stay as they are. The answer
to the reader is then our own search over the index, so that matching and rights are the same as everywhere; the
coverage says which hospitals that answer speaks for. Threads, connections and answers are bounded.
"""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.models import Max
from django.utils import timezone
from redis.exceptions import RedisError

from common import audit
from common.dicom.uids import is_valid_uid
from common.dicomweb.errors import OriginAnswerInvalid, OriginError
from common.dicomweb.origin import DicomJson
from common.errors import DomainError, NotFound
from common.kept import Kept
from hospitals import selectors as hospitals
from hospitals import services as hospital_services
from sharing.domain import facts
from sharing.domain.coverage import Coverage, HospitalAnswer, Outcome
from sharing.domain.question import (
    ACCESSION_NUMBER,
    MODALITIES_IN_STUDY,
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_DATE,
    STUDY_INSTANCE_UID,
    Question,
    filters_for,
    fits,
    keys_for,
    require_bounded,
)
from sharing.errors import TooManyReadersWait
from sharing.models import DiscoveryWindow, LocalPatient
from sharing.permissions import sight_of, viewer_key
from sharing.services import indexing

if TYPE_CHECKING:
    from common.accounts.models import User
    from hospitals.domain.policy import PullPolicy
    from sharing.selectors.listing import StudySearch

log = structlog.get_logger(__name__)

THREAD_NAME = "federated"
MOST_RESULTS = 1_000  # of one hospital that are looked at page by page, and that are written
QUESTIONS_AT_ONCE = 4  # of one process
ASKED_AGAIN_S = 15.0  # the next page of the same search is no new question
COVERAGE_KEPT_S = 3600

_questions = threading.BoundedSemaphore(QUESTIONS_AT_ONCE)
_connections = threading.Condition()
_asking: set[int] = set()  # hospitals that are being asked by this process, one question at a time
_recent: Kept[tuple[object, ...], Coverage] = Kept(entries=200, keep_s=ASKED_AGAIN_S)


@dataclass(frozen=True)
class _Ask:
    """One hospital to be asked: what with, and what the index knows."""

    policy: PullPolicy
    keys: dict[str, str]
    known_as_of: datetime | None

    def answer(self, outcome: Outcome, **found: object) -> HospitalAnswer:
        blank = HospitalAnswer(
            code=self.policy.code,
            name=self.policy.name,
            outcome=outcome,
            known_as_of=self.known_as_of,
        )
        return replace(blank, **found)  # type: ignore[arg-type]


def ask(
    *, actor: User, question: Question, institution_code: str = "", person_id: int | None = None
) -> Coverage:
    """Ask every hospital that ``actor`` may see, or the one named; returns at the deadline at the latest.

    Where the question is about a person whose examinations ``actor`` may see everywhere (an encounter, a consent, an
    emergency), every hospital that knows the person is asked.

    Raises:
        QuestionUnbounded: many studies of every hospital would answer it.
        TooManyReadersWait: this process is asking for others already.
    """
    require_bounded(question)
    key = (
        viewer_key(actor),
        person_id,
        institution_code,
        question.fuzzy,
        *sorted(question.keys.items()),
    )
    kept = _recent.get(key)
    if kept is not None:
        return kept
    if not _questions.acquire(blocking=False):
        raise TooManyReadersWait
    try:
        coverage = _ask(actor, question, institution_code, person_id)
    finally:
        _questions.release()
    _recent.put(key, coverage)
    return coverage


def question_of(search: StudySearch) -> Question:
    """The question of the study list, in the keys of a search."""
    days = [f"{day:%Y%m%d}" if day else "" for day in (search.since, search.until)]
    keys = {
        PATIENT_NAME: search.patient_name,
        PATIENT_ID: search.patient_id or search.number,
        ACCESSION_NUMBER: search.accession_number,
        MODALITIES_IN_STUDY: search.modality,
        STUDY_INSTANCE_UID: search.study_instance_uid,
        STUDY_DATE: "-".join(days) if any(days) else "",
    }
    return Question({tag: value for tag, value in keys.items() if value})


def question_of_numbers(numbers: Iterable[tuple[str, str]]) -> Question:
    """For one patient: each hospital is asked for the number that it gave, the others are not concerned."""
    # Asterisks and the like are wild in a search: a number with them cannot be asked for.
    plain = [f"{code}:{number}" for code, number in numbers if not set(number) & set('*?\\"')]
    return Question({PATIENT_ID: "\\".join(plain)}, namespaced=True)


def coverage_of(*, actor: User, coverage_id: str) -> Coverage:
    """The coverage of a question that ``actor`` asked within the last hour.

    Raises:
        NotFound: there is none of this account.
    """
    try:
        kept = cache.get(_cache_key(actor, coverage_id))
    except RedisError as error:
        log.warning("coverage.not_read", reason=type(error).__name__)
        kept = None
    if kept is None:
        raise NotFound("There is no such coverage statement any more.")
    return Coverage.from_json(kept)


def _ask(actor: User, question: Question, institution_code: str, person_id: int | None) -> Coverage:
    asked_at = timezone.now()
    among = _asked_by(actor, person_id)
    to_ask, refused = _hospitals(actor, question, institution_code, among, asked_at)
    answers = _Round(to_ask, fuzzy=question.fuzzy).run()
    coverage = Coverage(
        id=secrets.token_urlsafe(12),
        asked_at=asked_at,
        finished_at=timezone.now(),
        hospitals=tuple(sorted([*answers, *refused], key=lambda each: each.code)),
    )
    audit.record(
        actor,
        "study.ask-hospitals",
        object_type="study-list",
        object_id=institution_code,
        purpose="search",
        detail={
            "hospitals": len(coverage.hospitals),
            "answered": coverage.answered,
            "new": sum(each.new for each in coverage.hospitals),
        },
    )
    try:
        cache.set(_cache_key(actor, coverage.id), coverage.to_json(), COVERAGE_KEPT_S)
    except RedisError as error:
        log.warning("coverage.not_kept", reason=type(error).__name__)
    return coverage


def _hospitals(
    actor: User, question: Question, institution_code: str, among: Collection[int], now: datetime
) -> tuple[list[_Ask], list[HospitalAnswer]]:
    """Whom to ask, the reader's own first; and those that may not be asked, with the reason."""
    sight = sight_of(actor)
    known = _known_as_of(among)
    to_ask: list[_Ask] = []
    refused: list[HospitalAnswer] = []
    for code, name, institution_id, policy in hospitals.list_policies(among):
        if institution_code not in ("", code):
            continue
        keys = keys_for(question, code)
        if keys is None:
            continue  # the number is another institution's
        if policy is None or policy.slots(now) == 0:
            refused.append(
                HospitalAnswer(
                    code=code,
                    name=name,
                    outcome=Outcome.NOT_ASKED,
                    reason=_why_not_asked(policy),
                    known_as_of=known.get(institution_id),
                )
            )
        else:
            to_ask.append(_Ask(policy, keys, known.get(institution_id)))
    to_ask.sort(key=lambda each: each.policy.institution_id not in sight.own)
    return to_ask, refused


def _asked_by(actor: User, person_id: int | None) -> frozenset[int]:
    """The institutions whose lists ``actor`` may have looked into."""
    sight = sight_of(actor)
    if person_id is None or sight.basis_of_person(person_id) is None:
        return sight.institution_ids
    rows = LocalPatient.objects.filter(person_id=person_id).exclude(institution_id__in=sight.left)
    return sight.institution_ids | frozenset(rows.values_list("institution_id", flat=True))


def _why_not_asked(policy: PullPolicy | None) -> str:
    if policy is None:
        return "endpoint-missing"
    return "institution-not-active" if policy.state != "active" else "hospital-away"


def _known_as_of(institution_ids: Iterable[int]) -> dict[int, datetime]:
    rows = (
        DiscoveryWindow.objects.filter(
            institution_id__in=list(institution_ids), state=DiscoveryWindow.State.DONE
        )
        .values("institution_id")
        .annotate(at=Max("updated_at"))
        .order_by()
    )
    return {row["institution_id"]: row["at"] for row in rows}


class _Round:
    """One question to many hospitals. Threads ask; the reader's own thread gathers and writes."""

    def __init__(self, to_ask: list[_Ask], *, fuzzy: bool) -> None:
        self._to_ask = to_ask
        self._fuzzy = fuzzy
        self._until = time.monotonic() + settings.FEDERATED_DEADLINE_S
        self._pending: queue.SimpleQueue[_Ask] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[_Ask, HospitalAnswer, list[DicomJson]]] = (
            queue.SimpleQueue()
        )

    def run(self) -> list[HospitalAnswer]:
        for each in self._to_ask:
            self._pending.put(each)
        for _ in range(min(len(self._to_ask), settings.FEDERATED_CONNECTIONS)):
            threading.Thread(target=self._work, name=THREAD_NAME, daemon=True).start()
        answers: dict[str, HospitalAnswer] = {}
        while len(answers) < len(self._to_ask):
            try:
                left_s = self._until - time.monotonic()
                asked, answer, rows = self._done.get(timeout=max(left_s, 0.001))
            except queue.Empty:
                break
            answers[asked.policy.code] = self._written(asked, answer, rows)
        late = [each for each in self._to_ask if each.policy.code not in answers]
        return [
            *answers.values(),
            *(each.answer(Outcome.LATE, reason="origin-timeout") for each in late),
        ]

    def _written(
        self, asked: _Ask, answer: HospitalAnswer, rows: list[DicomJson]
    ) -> HospitalAnswer:
        if not rows:
            return answer
        new = indexing.add_index_rows(institution_id=asked.policy.institution_id, rows=rows)
        return replace(answer, new=new)

    # In threads of its own; after the deadline nobody listens, and the threads end by their time limits.

    def _work(self) -> None:
        try:
            while time.monotonic() < self._until:
                try:
                    asked = self._pending.get_nowait()
                except queue.Empty:
                    return
                if not _take_connection(asked.policy.institution_id, self._until):
                    return
                try:
                    self._done.put((asked, *self._ask(asked)))
                finally:
                    _give_connection(asked.policy.institution_id)
        finally:
            connection.close()

    def _ask(self, asked: _Ask) -> tuple[HospitalAnswer, list[DicomJson]]:
        begun = time.monotonic()
        try:
            found = self._found(asked)
        except DomainError as error:
            if isinstance(error, OriginError):
                hospital_services.record_origin_failure(
                    institution_id=asked.policy.institution_id, error=error
                )
            return asked.answer(Outcome.FAILED, reason=error.code, took_ms=_ms(begun)), []
        except Exception:
            log.exception("federated.crashed", institution_id=asked.policy.institution_id)
            return asked.answer(Outcome.FAILED, reason="pull-crashed", took_ms=_ms(begun)), []
        rows, received, cut = found
        hospital_services.record_origin_success(institution_id=asked.policy.institution_id)
        return asked.answer(
            Outcome.CUT if cut else Outcome.ANSWERED,
            answered_at=timezone.now(),
            took_ms=_ms(begun),
            received=received,
            results=len(rows),
        ), rows

    def _found(self, asked: _Ask) -> tuple[list[DicomJson], int, bool]:
        within_s = max(self._until - time.monotonic(), 0.1)
        with hospital_services.open_origin(
            institution_id=asked.policy.institution_id, within_s=within_s
        ) as origin:
            connection.close()  # none is held while the hospital thinks
            found = origin.match_studies(
                filters=filters_for(asked.keys), most=MOST_RESULTS, until=self._until
            )
        if found and not any(
            is_valid_uid(facts.text(row, STUDY_INSTANCE_UID, 65)) for row in found
        ):
            raise OriginAnswerInvalid("The answer to a search names no study.")
        rows = [row for row in found if fits(row, asked.keys, fuzzy=self._fuzzy)]
        return rows[:MOST_RESULTS], len(found), found.cut or len(rows) > MOST_RESULTS


def _take_connection(institution_id: int, until: float) -> bool:
    """One of the process's connections, and the hospital to itself; False when the deadline comes first."""
    with _connections:
        while institution_id in _asking or len(_asking) >= settings.FEDERATED_CONNECTIONS:
            if not _connections.wait(timeout=until - time.monotonic()):
                return False
        _asking.add(institution_id)
        return True


def _give_connection(institution_id: int) -> None:
    with _connections:
        _asking.discard(institution_id)
        _connections.notify_all()


def _ms(begun: float) -> int:
    return round((time.monotonic() - begun) * 1000)


def _cache_key(actor: User, coverage_id: str) -> str:
    return f"coverage:{actor.pk}:{coverage_id}"
