"""What can go wrong in sharing."""

from __future__ import annotations

from typing import Self

from common.errors import DomainError, Kind


class LeaseLost(DomainError):
    """Another worker has taken this transfer over; what this one did is left for the sweeper."""

    code = "lease-lost"
    kind = Kind.CONFLICT


class NothingRetrieved(DomainError):
    """The hospital lists this series and sent no instance of it that can be kept."""

    code = "nothing-retrieved"
    kind = Kind.UPSTREAM


class SeriesIncomplete(DomainError):
    """The hospital lists more instances than it sent."""

    code = "incomplete"
    kind = Kind.UPSTREAM


class ArchiveDamaged(DomainError):
    """What was read back from the object store is not what was written."""

    code = "archive-damaged"
    kind = Kind.UNAVAILABLE


class PullCrashed(DomainError):
    """The pull of this series met a fault of this system; it is tried again, and the log has the details."""

    code = "pull-crashed"
    kind = Kind.UNAVAILABLE


class InstitutionNotActive(DomainError):
    """The institution is not active: it is not asked for studies."""

    code = "institution-not-active"
    kind = Kind.CONFLICT


class NotRetryable(DomainError):
    """Only a transfer that failed can be tried again."""

    code = "not-retryable"
    kind = Kind.CONFLICT


class PagingUnsupported(DomainError):
    """The hospital's search ignores offset and one day holds more studies than one answer."""

    code = "paging-unsupported"
    kind = Kind.UPSTREAM


class SpoolFailed(DomainError):
    """The local disk did not take the series."""

    code = "spool-failed"
    kind = Kind.UNAVAILABLE


class NotPulledYet(DomainError):
    """This study is known from the hospital's list, and has not been copied into the archive yet."""

    code = "not-pulled-yet"
    kind = Kind.UNAVAILABLE
    retry_after_s: float = 60

    def __init__(
        self, message: str = "", *, retry_after_s: float | None = None, **facts: object
    ) -> None:
        super().__init__(message, **facts)
        if retry_after_s is not None:
            self.retry_after_s = max(1, round(retry_after_s))

    def again(self) -> Self:
        """The same refusal for another reader."""
        return type(self)(self.message, retry_after_s=self.retry_after_s, **self.facts)


class HospitalAway(NotPulledYet):
    """The hospital's archive cannot be asked at this moment."""

    code = "hospital-away"


class HospitalAtCap(NotPulledYet):
    """The hospital sends as many series at once as it allows; this one is next but has not begun."""

    code = "hospital-at-cap"
    retry_after_s = 15


class FetchNotBegun(NotPulledYet):
    """The hospital was asked and has not begun to send; it goes on without the reader."""

    code = "fetch-not-begun"
    retry_after_s = 10


class FetchFailed(NotPulledYet):
    """The hospital was asked and did not send what it lists."""

    code = "fetch-failed"


class TooManyReadersWait(NotPulledYet):
    """As many readers as are allowed wait for hospitals already."""

    code = "too-many-readers-wait"
    retry_after_s = 5


class ReadBrokenOff(DomainError):
    """The hospital failed in the middle of what was being read; the answer ends without its end."""

    code = "read-broken-off"
    kind = Kind.UPSTREAM


class QuestionUnbounded(DomainError):
    """Hospitals are asked with a patient, a number, a name, a study or at most 31 days."""

    code = "question-unbounded"


class NoteMissing(DomainError):
    """A case is closed with a note of what was found."""

    code = "note-missing"
    kind = Kind.INVALID


class AlreadySettled(DomainError):
    """The case is closed already."""

    code = "already-settled"
    kind = Kind.CONFLICT


class RenderingBusy(DomainError):
    """Other large pictures are being rendered: ask again in some seconds."""

    code = "rendering-busy"
    kind = Kind.UNAVAILABLE
    retry_after_s = 5


class NowhereToStore(DomainError):
    """This account may not store: only an institution's integrator may, and its readers what they derived."""

    code = "nowhere-to-store"
    kind = Kind.NOT_PERMITTED


class SeveralInstitutions(DomainError):
    """This account works for several institutions: name one, as /dicom-web/at/{institution}/."""

    code = "several-institutions"
    kind = Kind.CONFLICT


class StoreBusy(DomainError):
    """As many senders store at this moment as are taken at once: try again in some seconds."""

    code = "store-busy"
    kind = Kind.UNAVAILABLE
    retry_after_s = 5


class UnderLegalHold(DomainError):
    """This study is under legal hold: it may not be deleted before the hold is released."""

    code = "legal-hold"
    kind = Kind.CONFLICT


class NotUnderLegalHold(DomainError):
    """There is no legal hold in force on this study."""

    code = "no-legal-hold"
    kind = Kind.CONFLICT


class ReasonMissing(DomainError):
    """A deletion names its reason by one of the known codes."""

    code = "deletion-reason-missing"


class NotDeleted(DomainError):
    """No deletion of this study is in force, or its bytes are gone already."""

    code = "not-deleted"
    kind = Kind.CONFLICT


class StudyIsDeleted(DomainError):
    """The study was deleted and can still be brought back: undo the deletion first."""

    code = "study-is-deleted"
    kind = Kind.CONFLICT


class StudyBeingStored(DomainError):
    """Instances of this study are being stored at this moment: try again when that has ended."""

    code = "study-being-stored"
    kind = Kind.CONFLICT


class ReportContentInvalid(DomainError):
    """The report cannot be kept as it was sent."""

    code = "report-invalid"


class AccessionAmbiguous(DomainError):
    """Several studies have this accession number: name the Study Instance UID."""

    code = "accession-ambiguous"
    kind = Kind.CONFLICT


class ReportNotOfThisStudy(DomainError):
    """The study has another patient or accession number, or the report of this number is one of another study."""

    code = "report-not-of-this-study"
    kind = Kind.CONFLICT


class ReportVersionDiffers(DomainError):
    """This version of the report is held with another content: an amendment needs a version of its own."""

    code = "report-version-differs"
    kind = Kind.CONFLICT


class SavedSearchUnusable(DomainError):
    """A search is kept with a name and at least one filter, thirty of an account at most."""

    code = "saved-search-unusable"


class IdentityMalformed(DomainError):
    """Something that identifies the patient is not of the form that it must have."""

    code = "identity-malformed"


class PatientNumberMissing(DomainError):
    """A registered patient needs a number of its institution."""

    code = "patient-number-missing"


class ReasonRequired(DomainError):
    """This needs a reason, in a few words, which is kept."""

    code = "reason-required"


class LaterLinkFirst(DomainError):
    """The patient was linked again since: take the later link back first."""

    code = "later-link-first"
    kind = Kind.CONFLICT


class LinkTakenBack(DomainError):
    """This link was taken back already, or there is nothing that could be taken back."""

    code = "link-taken-back"
    kind = Kind.CONFLICT


class AlreadyOnePerson(DomainError):
    """The two are one person already."""

    code = "already-one-person"
    kind = Kind.CONFLICT


class CandidateDecided(DomainError):
    """Somebody has decided about this pair already."""

    code = "candidate-decided"
    kind = Kind.CONFLICT


class SearchTooLoose(DomainError):
    """Nobody is found by so little: give an identity, a phone, an accession number, a name, or a date with more."""

    code = "search-too-loose"


class TooManyQuestions(DomainError):
    """You have asked for very many patients by number. Wait some minutes; the question is in the audit trail."""

    code = "too-many-questions"
    kind = Kind.UNAVAILABLE
    retry_after_s = 600


class ConsultationEnded(DomainError):
    """The consultation has ended or its term is over: nothing can be added."""

    code = "consultation-ended"
    kind = Kind.CONFLICT


class ConsultationStateConflict(DomainError):
    """The consultation is not at the point where this can be done."""

    code = "consultation-state-conflict"
    kind = Kind.CONFLICT


class NotYourPart(DomainError):
    """This is the other side's to do in this consultation."""

    code = "consultation-not-your-part"
    kind = Kind.NOT_PERMITTED


class NobodyToAsk(DomainError):
    """There is no such department or colleague that can be asked there."""

    code = "consultation-nobody-to-ask"


class ConsultationInvalid(DomainError):
    """A consultation needs a question, a term and at least one study; the text says what is missing."""

    code = "consultation-invalid"


class StudyNotPassedOn(DomainError):
    """A study that you see only through others' permission cannot be passed on."""

    code = "study-not-passed-on"
    kind = Kind.NOT_PERMITTED


class SenderUnknown(DomainError):
    """No sender of this name is registered for this connection."""

    code = "hl7-sender-unknown"
    kind = Kind.NOT_PERMITTED


class SenderInvalid(DomainError):
    """A sender cannot be registered like this."""

    code = "hl7-sender-invalid"


class EncounterInvalid(DomainError):
    """An encounter needs a patient of this institution, a visit number, a kind and a time that fits."""

    code = "encounter-invalid"


class VisitNumberTaken(DomainError):
    """This visit number is another patient's at this institution."""

    code = "visit-number-taken"
    kind = Kind.CONFLICT


class ConsentInvalid(DomainError):
    """A consent needs a patient, a scope and a term of at most five years."""

    code = "consent-invalid"


class ReasonTooShort(DomainError):
    """Say why in at least ten characters: a reviewer reads it."""

    code = "reason-too-short"


class SlipInvalid(DomainError):
    """A slip shows at least one study of one patient of the institution, and has a second factor."""

    code = "slip-invalid"


class SlipRefused(DomainError):
    """There is no such slip any more, or the second factor is not right."""

    code = "slip-refused"
    kind = Kind.NOT_FOUND


class SlipLocked(DomainError):
    """Too many wrong tries: wait a quarter of an hour."""

    code = "slip-locked"
    kind = Kind.CONFLICT


class CaseNotTakeable(DomainError):
    """Only of a conflict can the other bytes be taken in, and only while the series is held."""

    code = "case-not-takeable"
    kind = Kind.CONFLICT


class LaunchRefused(DomainError):
    """This launch is not valid, or not any more: start it again from your own system."""

    code = "launch-refused"
    kind = Kind.NOT_PERMITTED


class NoOpenEncounter(DomainError):
    """The patient has no open encounter at this institution: without one there is nothing to launch."""

    code = "no-open-encounter"
    kind = Kind.CONFLICT


class LaunchSystemInvalid(DomainError):
    """An order-entry system cannot be registered like this."""

    code = "launch-system-invalid"


class CharacterSetUnusable(DomainError):
    """Texts are repaired with GB18030 or GBK."""

    code = "character-set-unusable"


class RepairRunning(DomainError):
    """A repair of this institution's texts is not finished, or there is nothing to be undone."""

    code = "charset-repair-running"
    kind = Kind.CONFLICT
