"""How long a reason to see a patient's examinations lasts, and what a reason in words must be."""

from __future__ import annotations

from datetime import timedelta

# An encounter ends when the HIS says so; where it never does, after the usual time, and never later than the longest.
USUAL_ENCOUNTER = {
    "outpatient": timedelta(days=7),
    "inpatient": timedelta(days=30),
    "emergency": timedelta(days=3),
}
LONGEST_ENCOUNTER = {
    "outpatient": timedelta(days=30),
    "inpatient": timedelta(days=180),
    "emergency": timedelta(days=7),
}
# Registered by those whom it lets see, so for a short time (ADR 0030).
DESK_ENCOUNTER = {
    "outpatient": timedelta(days=1),
    "inpatient": timedelta(days=7),
    "emergency": timedelta(days=1),
}
EARLIEST = timedelta(days=400)  # an encounter that began longer ago is a mistake
AHEAD = timedelta(days=30)

USUAL_CONSENT = timedelta(days=90)
LONGEST_CONSENT = timedelta(days=5 * 365)

EMERGENCY = timedelta(hours=4)
SLIP = {"qr": timedelta(days=90), "sms": timedelta(days=7)}  # policy S-c
WRONG_TRIES = 5  # policy S-c
LOCKED = timedelta(minutes=15)  # policy S-c

REASON_LEAST = 10
REASON_LEAST_DIFFERENT = 6
REASON_MOST = 500


def plain_reason(text: str) -> str:
    """The reason without needless blanks."""
    return " ".join(text.split())[:REASON_MOST]


def is_real_reason(text: str) -> bool:
    """Whether a reviewer can read something out of it: long enough, and not one sign again and again."""
    said = text.replace(" ", "")
    return len(said) >= REASON_LEAST and len(set(said.lower())) >= REASON_LEAST_DIFFERENT
