"""Regions of the body that readers ask for, out of what hospitals write in many ways.

The same part stands as a defined term (PS3.16 Annex L) in Body Part Examined, or only in the description, in Han or in
Latin. A pattern here is understood alike by Python and by PostgreSQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache


class BodyPart(StrEnum):
    """A region of the body (部位); an examination may be of several."""

    HEAD = "head"
    NECK = "neck"
    CHEST = "chest"
    HEART = "heart"
    BREAST = "breast"
    ABDOMEN = "abdomen"
    PELVIS = "pelvis"
    SPINE = "spine"
    LIMBS = "limbs"
    VESSELS = "vessels"
    WHOLE = "whole"


# Defined terms of Body Part Examined (0018,0015).
_TERMS: dict[BodyPart, tuple[str, ...]] = {
    BodyPart.HEAD: (
        "HEAD", "BRAIN", "SKULL", "FACE", "ORBIT", "SINUS", "PNS", "EAR", "IAC", "JAW", "TMJ", "MANDIBLE", "MAXILLA",
        "NASOPHARYNX", "PITUITARY", "SELLA", "TEETH", "HEADNECK",
    ),
    BodyPart.NECK: ("NECK", "THYROID", "LARYNX", "HEADNECK", "NECKCHEST"),
    BodyPart.CHEST: (
        "CHEST", "LUNG", "THORAX", "RIB", "RIBS", "STERNUM", "CLAVICLE", "MEDIASTINUM", "CHESTABDOMEN",
        "CHESTABDPELVIS", "NECKCHEST", "THORAXABD",
    ),
    BodyPart.HEART: ("HEART", "CORONARY", "CORONARYARTERY", "CARDIAC"),
    BodyPart.BREAST: ("BREAST", "MAMMA"),
    BodyPart.ABDOMEN: (
        "ABDOMEN", "LIVER", "KIDNEY", "PANCREAS", "SPLEEN", "ADRENAL", "STOMACH", "COLON", "BILIARY", "GALLBLADDER",
        "ABDOMENPELVIS", "CHESTABDOMEN", "CHESTABDPELVIS", "THORAXABD",
    ),
    BodyPart.PELVIS: (
        "PELVIS", "BLADDER", "PROSTATE", "UTERUS", "OVARY", "RECTUM", "ABDOMENPELVIS", "CHESTABDPELVIS",
    ),
    BodyPart.SPINE: ("SPINE", "CSPINE", "TSPINE", "LSPINE", "SSPINE", "CTSPINE", "TLSPINE", "LSSPINE", "COCCYX"),
    BodyPart.LIMBS: (
        "EXTREMITY", "ARM", "LEG", "KNEE", "ANKLE", "FOOT", "HAND", "WRIST", "ELBOW", "SHOULDER", "HIP", "FEMUR",
        "TIBIA", "HUMERUS", "FOREARM", "FINGER", "TOE", "CALCANEUS", "UPRARM", "THIGH", "LOWLEG",
    ),
    BodyPart.VESSELS: ("AORTA", "CAROTID", "ARTERY", "VEIN", "VESSEL", "CIRCLEOFWILLIS", "PULMONARYARTERY"),
    BodyPart.WHOLE: ("WHOLEBODY", "BODY"),
}  # fmt: skip
# Words of a description, without case. A cervical vertebra is of the spine, not of the neck.
_WORDS: dict[BodyPart, str] = {
    BodyPart.HEAD: "头|颅|脑|鼻|眼|眶|颞骨|内耳|垂体|颌|brain|head|skull|sinus|orbit",
    BodyPart.NECK: "颈(?!椎)|甲状腺|喉|neck|thyroid",
    BodyPart.CHEST: "胸(?!椎)|肺|纵隔|肋|chest|lung|thorax",
    BodyPart.HEART: "心脏|心肌|冠状动脉|冠脉|heart|cardiac|coronary",
    BodyPart.BREAST: "乳腺|钼靶|breast|mammo",
    BodyPart.ABDOMEN: "腹|肝|胆|胰|脾|肾|胃|肠|阑尾|abdom|liver|kidney|pancrea|urogra",
    BodyPart.PELVIS: "盆腔|骨盆|膀胱|前列腺|子宫|直肠|卵巢|pelvi|prostat|bladder",
    BodyPart.SPINE: "椎|脊柱|脊髓|spin(e|al)|lumbar|cervical",
    BodyPart.LIMBS: "膝|踝|足|手|腕|肘|肩|髋|四肢|股骨|胫|肱骨|桡骨|指|趾|跟骨"
    "|knee|ankle|foot|hand|wrist|elbow|shoulder|hip|extremit",
    BodyPart.VESSELS: "主动脉|颈动脉|血管|动脉|静脉|cta|mra|angio|aorta",
    BodyPart.WHOLE: "全身|whole ?body",
}


def terms_of(part: BodyPart) -> tuple[str, ...]:
    """The defined terms of Body Part Examined that mean this region."""
    return _TERMS[part]


def pattern_of(part: BodyPart) -> str:
    """A regular expression, to be tried without case, for descriptions that mean this region."""
    return _WORDS[part]


def parts_of(terms: Iterable[str], description: str) -> tuple[BodyPart, ...]:
    """The regions that an examination shows, as far as its series and its description say."""
    said = {term.upper().replace(" ", "").replace("_", "") for term in terms}
    return tuple(
        part
        for part in BodyPart
        if said.intersection(_TERMS[part]) or _compiled(part).search(description)
    )


@lru_cache(maxsize=len(BodyPart))
def _compiled(part: BodyPart) -> re.Pattern[str]:
    return re.compile(_WORDS[part], re.IGNORECASE)
