"""Error codes in a plain sentence each, with what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from common.errors import DomainError


@dataclass(frozen=True)
class Words:
    """What happened and what the reader can do."""

    what: Any
    advice: Any


UNKNOWN = Words(
    _("Something went wrong that has no name here yet."),
    _("Look at the text beside it; tell the operator if it stays."),
)

_SELF = _("Nothing to do: it is tried again by itself, at growing intervals.")
_HOSPITAL = _("Ask the hospital's integrator to look at its archive's log at that time.")

_WORDS: dict[str, Words] = {
    "character-set-unusable": Words(
        _("Texts are repaired with GB18030 or GBK."), _("Choose one of the two.")
    ),
    "charset-repair-running": Words(
        _("A repair of this hospital's texts is not finished, or there is nothing to be taken back."),
        _("Wait until it has ended."),
    ),
    "identity-malformed": Words(
        _("An identity is not of the form that it must have."),
        _("A resident ID has 18 characters with a check digit; a phone has digits only. Correct it and send again."),
    ),
    "patient-number-missing": Words(
        _("A registered patient needs a number of its institution."),
        _("Give the number of the hospital's own system, 128 characters at most."),
    ),
    "reason-required": Words(
        _("This needs a reason."), _("Write in a few words why; it is kept.")
    ),
    "later-link-first": Words(
        _("The patient was joined again since."), _("Take the later join back first.")
    ),
    "link-taken-back": Words(
        _("This join was taken back already."), _("Nothing to do.")
    ),
    "already-one-person": Words(
        _("The two are one person already."), _("Nothing to do.")
    ),
    "candidate-decided": Words(
        _("Somebody has decided about this pair already."), _("Look into the history of joins.")
    ),
    "search-too-loose": Words(
        _("Nobody is found by so little."),
        _("Give an identity, a phone, an accession number, a name, or a date with something else."),
    ),
    "too-many-questions": Words(
        _("You have asked for very many patients by number."),
        _("Wait some minutes. Such questions are in the audit trail and are reviewed."),
    ),
    "origin-error": Words(_("The hospital's archive did not answer as it should."), _HOSPITAL),
    "origin-unreachable": Words(
        _("The hospital's archive cannot be reached over the network."),
        _("Check that its server runs and that the line and the firewall let us through, then probe again."),
    ),
    "origin-timeout": Words(
        _("The hospital's archive took too long to answer."),
        _("Tried again by itself. If it happens often, lower the concurrency or raise the time limit."),
    ),
    "origin-refused": Words(
        _("The hospital's archive refuses our credentials."),
        _("Ask the hospital for valid credentials, set them at its endpoint, then probe again."),
    ),
    "origin-not-found": Words(
        _("The hospital lists this examination but no longer holds it."),
        _("Ask the hospital whether it was deleted or moved to another archive."),
    ),
    "origin-busy": Words(_("The hospital's archive asked to be left alone for a while."), _SELF),
    "origin-failed": Words(_("The hospital's archive reported a fault of its own."), _HOSPITAL),
    "origin-answer-invalid": Words(
        _("The answer was not what the DICOMweb standard asks for."),
        _("Check the base URL: a log-in page or a proxy often stands in the way. Then probe again."),
    ),
    "origin-cut-off": Words(
        _("The connection broke in the middle of a series."),
        _("What arrived is kept; the rest is fetched by itself."),
    ),
    "address-not-allowed": Words(
        _("The address is not in a network that hospitals may have."),
        _("Correct the base URL, or have the operator allow the network."),
    ),
    "malformed-multipart": Words(
        _("The hospital's answer was not cut into parts as it announced."),
        _("What could be read is kept. Ask the maker of the hospital's archive about its multipart answers."),
    ),
    "malformed-dicom": Words(
        _("A file is not readable as DICOM."), _("It is kept in quarantine; ask the hospital for it again.")
    ),
    "nothing-retrieved": Words(
        _("The hospital lists this series but sent no instance that can be kept."),
        _("Look at the quarantine cases of the study; ask the hospital whether the series still exists."),
    ),
    "incomplete": Words(
        _("The hospital lists more instances than it sent."),
        _("The missing ones are asked for again by themselves. If they stay missing, ask the hospital."),
    ),
    "archive-damaged": Words(
        _("What was read back from the object store is not what was written."),
        _("Tell the operator at once: a disk or the object store may be failing."),
    ),
    "spool-failed": Words(
        _("There was no room or no permission to write while receiving."),
        _("The operator frees space in the data directory; then it goes on by itself."),
    ),
    "pack-not-writable": Words(
        _("The series could not be written to the local disk."),
        _("The operator frees space in the data directory; then it goes on by itself."),
    ),
    "archive-document-unreadable": Words(
        _("A document of the archive is damaged, or was written by a newer version."),
        _("Tell the operator: run the archive check for this study, then pull the study again."),
    ),
    "object-store-unavailable": Words(
        _("The object store does not do its work."),
        _("The operator checks the object store; then it goes on by itself."),
    ),
    "object-missing": Words(
        _("An object of the archive is not in the store."),
        _("Tell the operator: run the archive check for this study and restore the object."),
    ),
    "worker-lost": Words(_("The worker stopped without a word."), _SELF),
    "lease-lost": Words(_("Another worker has taken this over."), _SELF),
    "paging-unsupported": Words(
        _("The hospital's search cannot go on after its first page, and one day holds more than a page."),
        _("Ask the maker of the hospital's archive for limit and offset, or for a larger page."),
    ),
    "institution-not-active": Words(
        _("The hospital is not active: nothing is asked of it."), _("Activate it when it may be asked again.")
    ),
    "hospital-suspended": Words(
        _("The hospital is suspended or has left: nothing is asked of it."),
        _("Activate it when it may be asked again."),
    ),
    "endpoint-missing": Words(
        _("No endpoint has been set for this hospital."),
        _("Set its endpoint and probe it, or give its PACS an integrator account that stores."),
    ),
    "undecipherable": Words(
        _("Stored credentials or identities cannot be decrypted: their key is missing, or they were altered."),
        _("The operator puts the former key back into FIELD_KEYS, or sets the endpoint's secret again."),
    ),
    "folder-unusable": Words(
        _("The folder does not exist or cannot be read."),
        _("Check the path and its permissions on the server, then probe again."),
    ),
    "pull-crashed": Words(
        _("The pull ended with a fault of our own program."),
        _("Tell the operator: the log of that time holds the cause. It is tried again by itself."),
    ),
    "not-pulled-yet": Words(
        _("The images are still at the hospital."),
        _("Fetch them with the button on the study's page; you see how far it is."),
    ),
    "hospital-away": Words(
        _("The hospital's archive cannot be asked at this moment."),
        _("What is in the shared archive can be read. Try again in some minutes, or call the hospital."),
    ),
    "hospital-at-cap": Words(
        _("The hospital already sends as many series at once as it allows."),
        _("Yours is next. Keep the page open, or come back in a minute."),
    ),
    "fetch-not-begun": Words(
        _("The hospital was asked and has not begun to send."),
        _("It goes on by itself. Come back in a minute, or open the images that are here."),
    ),
    "fetch-failed": Words(
        _("The hospital was asked and did not send what it lists."),
        _("It is tried again by itself, or at once when you ask again. If it stays so, call the hospital."),
    ),
    "too-many-readers-wait": Words(
        _("Many readers wait for hospitals at this moment."), _("Try again in some seconds.")
    ),
    "read-broken-off": Words(
        _("The hospital failed in the middle of what was being read."),
        _("What arrived is kept. Open the study again: the rest is asked for."),
    ),
    "question-unbounded": Words(
        _("The hospitals were not asked: the search is too broad for them."),
        _("Say whom you look for (two characters of a name at least), or at most 31 days; then ask again."),
    ),
    "rendering-busy": Words(
        _("Other large pictures are being made at this moment."), _("Reload the page in some seconds.")
    ),
    "decoders-busy": Words(
        _("All decoders are at work for other readers at this moment."), _("Reload the page in some seconds.")
    ),
    "search-too-broad": Words(
        _("The search asks for more than can be looked through."),
        _("Narrow it by a patient, a number, a name or dates; the text beside it says by which key."),
    ),
    "store-busy": Words(
        _("As many senders store at this moment as are taken at once."),
        _("Send again in some seconds: what is sent twice is stored once."),
    ),
    "nowhere-to-store": Words(
        _("This account may not store here."),
        _("Only an institution's integrator stores images; its readers store what their viewer derived."),
    ),
    "several-institutions": Words(
        _("This account works for several institutions, and none was named."),
        _("Use the address of one institution: /dicom-web/at/{institution}/."),
    ),
    "unsupported-media-type": Words(
        _("What was sent is of a type that cannot be stored."),
        _("Send application/dicom, or DICOM JSON or XML with its bulk data, as the conformance page says."),
    ),
    "legal-hold": Words(
        _("This study is under legal hold: it may not be deleted."),
        _("Ask the operator, who releases the hold when its file is closed."),
    ),
    "no-legal-hold": Words(
        _("There is no legal hold in force on this study."),
        _("Look at the list of holds: it may have been released already."),
    ),
    "encounter-invalid": Words(
        _("This encounter does not fit: visit number, kind, time or patient."),
        _("Look at the visit number and at when it began."),
    ),
    "visit-number-taken": Words(
        _("This visit number is another patient's."),
        _("Look whether the number or the patient is the wrong one."),
    ),
    "consent-invalid": Words(
        _("This consent does not fit: its scope or its term."),
        _("Name modalities and studies as they are written, and a term of at most five years."),
    ),
    "reason-too-short": Words(
        _("Say why in at least ten characters: a reviewer reads it."),
        _("Name what happened and why nobody can be asked."),
    ),
    "slip-locked": Words(
        _("Too many wrong tries."),
        _("Wait a quarter of an hour."),
    ),
    "deletion-reason-missing": Words(
        _("A deletion needs one of the known reasons."),
        _("Name the reason by its code, as the conformance page lists them."),
    ),
    "not-deleted": Words(
        _("No deletion of this study can be undone."),
        _("It was not deleted, or its time of grace has ended: ask the hospital to send it again."),
    ),
    "study-is-deleted": Words(
        _("The study was deleted and can still be brought back."),
        _("Ask the operator to undo the deletion first, or wait until its time of grace has ended."),
    ),
    "study-being-stored": Words(
        _("Instances of this study are being stored at this moment."), _("Try again in some seconds.")
    ),
    "not-retryable": Words(
        _("Only work that failed can be tried again."), _("Reload the page: it may be under way already.")
    ),
    "note-missing": Words(
        _("A case is closed with a note of what was found."), _("Write what was found, then close it.")
    ),
    "report-invalid": Words(
        _("The report cannot be kept as it was sent."),
        _("The text beside it says what is wrong; the sender corrects it and sends it again."),
    ),
    "accession-ambiguous": Words(
        _("Several studies have this accession number."),
        _("Send the Study Instance UID, or the patient's number, with the report."),
    ),
    "report-not-of-this-study": Words(
        _("The report does not belong to this study."),
        _("Patient, accession number and study do not go together: check them at the sender."),
    ),
    "report-version-differs": Words(
        _("This version of the report is held with another content."),
        _("Send the amendment as a version of its own."),
    ),
    "saved-search-unusable": Words(
        _("The search cannot be saved like this."),
        _("Give it a name and at least one filter that names no patient; delete one if you have thirty."),
    ),
    "already-settled": Words(
        _("Somebody has closed this case already."), _("Reload the page.")
    ),
    "consultation-ended": Words(
        _("This consultation has ended, or its term is over."),
        _("Ask for a new one where something is left to ask."),
    ),
    "consultation-state-conflict": Words(
        _("The consultation is not at the point where this can be done."), _("Reload the page.")
    ),
    "consultation-not-your-part": Words(
        _("This is the other side's to do in this consultation."), _("Write to the other side.")
    ),
    "consultation-nobody-to-ask": Words(
        _("There is no such department or colleague that can be asked there."),
        _("Choose somebody from the list: a hospital's administrator keeps its departments."),
    ),
    "consultation-invalid": Words(
        _("Something of the consultation is missing."), _("Look at the text beside it and fill it in.")
    ),
    "study-not-passed-on": Words(
        _("You see this study only through others' permission: it cannot be passed on."),
        _("Ask the hospital that made it to ask for the consultation."),
    ),
    "case-not-takeable": Words(
        _("Only of a conflict can the other bytes be taken in, and only while the series is held."),
        _("Look at both sides on the page of the case, or keep ours."),
    ),
    "not-confirmed": Words(
        _("Password or one-time code do not agree: nothing was signed."), _("Try again.")
    ),
    "invitation-unknown": Words(
        _("There is no such invitation."), _("Look whether the whole link was copied.")
    ),
    "invitation-ended": Words(
        _("This invitation was used, taken back or has expired."),
        _("Ask the person who invited you for a new one."),
    ),
    "last-administrator": Words(
        _("Nobody else administers this place."), _("Say that it is meant, or invite a successor first.")
    ),
    "membership-conflict": Words(
        _("This account has this role there already, at days that overlap."),
        _("Prolong or end the membership that there is."),
    ),
    "membership-unknown": Words(
        _("There is no such membership here."), _("Look for the person in the list.")
    ),
    "account-taken": Words(
        _("There is already an account of this name."), _("Choose another user name, or log in with that account.")
    ),
    "token-ended": Words(
        _("This token has expired or was withdrawn."), _("Make a new one.")
    ),
    "token-replaced": Words(
        _("This token was rotated already."), _("Rotate its successor.")
    ),
    "second-factor-missing": Words(
        _("There is no second factor."), _("It is set up at the next log-in where the role needs one.")
    ),
    "provider-failed": Words(
        _("The provider of log-ins did not answer as it should."),
        _("Try again in a minute, or log in with your password."),
    ),
    "login-not-proved": Words(
        _("What the provider answered does not belong to this log-in."), _("Begin again at the log-in page.")
    ),
    "person-not-known": Words(
        _("The provider knows you, and no account here is linked with you."),
        _("Ask your administrator for an invitation; or log in with your password and link your account."),
    ),
    "identity-taken": Words(
        _("This account, or this identity at the provider, is linked with another one already."),
        _("Take that link away first, on the account page."),
    ),
    "codes-locked": Words(
        _("Too many wrong codes."),
        _("Wait a quarter of an hour, or ask your administrator to release the lock."),
    ),
    "session-unknown": Words(
        _("There is no such session, or it has ended."), _("Reload the page.")
    ),
    "account-of-system": Words(
        _("A system has tokens, and no account page."), _("Log in as a person.")
    ),
    "no-open-encounter": Words(
        _("The patient has no open encounter at this institution."), _("Register the encounter, then try again.")
    ),
    "launch-refused": Words(
        _("This view cannot be opened, or not any more."), _("Open it again from the system that you work in.")
    ),
    "launch-system-invalid": Words(
        _("The order-entry system cannot be registered like this."), _("Look at the text beside it and fill it in.")
    ),
    "slip-invalid": Words(
        _("The slip cannot be made like this."), _("Name studies of one patient, and a second factor.")
    ),
    "slip-refused": Words(
        _("There is no such slip any more, or the second factor is not right."),
        _("Look at the printed slip, or ask the hospital for a new one."),
    ),
    "hl7-sender-unknown": Words(
        _("No sender of this name is registered for this connection."), _("Have the operator register it.")
    ),
    "hl7-sender-invalid": Words(
        _("The sender cannot be registered like this."), _("Look at the text beside it and fill it in.")
    ),
    "hl7-fault": Words(
        _("The message could not be acted on by a fault of ours."),
        _("It is kept: act on it again, and tell the operator if it stays."),
    ),
}  # fmt: skip


def said(error: DomainError) -> str:
    """What a refusal says to people: its own text where it was given one, else the words of its code."""
    unsaid = (error.__doc__ or error.code).strip().splitlines()[0]
    found = _WORDS.get(error.code) if error.message == unsaid else None
    return error.message if found is None else f"{found.what} {found.advice}"


def in_words(error: DomainError) -> str:
    """The sentence of its code; only where it has none the error's own text, which may be for programs."""
    found = _WORDS.get(error.code)
    return error.message if found is None else str(found.what)


def words(code: str) -> Words:
    """The sentences of an error code; a general one where the code is not known."""
    return _WORDS.get(code, UNKNOWN)


def known_codes() -> frozenset[str]:
    """The codes that have a sentence."""
    return frozenset(_WORDS)
