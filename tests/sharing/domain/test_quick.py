"""What a reader typed is told by its form."""

from __future__ import annotations

import pytest

from sharing.domain.body_parts import BodyPart, parts_of
from sharing.domain.quick import Kind, kind_of


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("110101199003070011", Kind.RESIDENT_ID),
        ("11010119900307001x", Kind.RESIDENT_ID),
        ("１１０１０１１９９００３０７００１１", Kind.RESIDENT_ID),
        ("110101 19900307 0011", Kind.RESIDENT_ID),
        ("13800138000", Kind.PHONE),
        ("+86 138-0013-8000", Kind.PHONE),
        ("张三", Kind.NAME),
        ("zhang san", Kind.NAME),
        ("P1000", Kind.NUMBER),
        ("20260101", Kind.NUMBER),
    ],
)
def test_one_field_takes_what_is_at_hand(text: str, kind: Kind) -> None:
    assert kind_of(text) is kind


@pytest.mark.parametrize(
    ("terms", "description", "parts"),
    [
        (["CHEST"], "", (BodyPart.CHEST,)),
        (["CHESTABDPELVIS"], "", (BodyPart.CHEST, BodyPart.ABDOMEN, BodyPart.PELVIS)),
        ([], "颈椎正侧位", (BodyPart.SPINE,)),
        ([], "颈部软组织", (BodyPart.NECK,)),
        ([], "胸椎MR", (BodyPart.SPINE,)),
        ([], "胸部 CT 平扫", (BodyPart.CHEST,)),
        (["KNEE"], "Left knee", (BodyPart.LIMBS,)),
        ([], "Routine", ()),
    ],
)
def test_regions_are_told_by_defined_terms_and_by_descriptions(
    terms: list[str], description: str, parts: tuple[BodyPart, ...]
) -> None:
    assert parts_of(terms, description) == parts
