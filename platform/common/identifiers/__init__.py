"""Numbers of people and institutions: pure rules, no Django."""

from common.identifiers.credit_code import (
    MalformedCreditCode,
    is_valid_credit_code,
    parse_credit_code,
)
from common.identifiers.resident_id import (
    MalformedResidentId,
    ResidentId,
    is_valid_resident_id,
    parse_resident_id,
)

__all__ = [
    "MalformedCreditCode",
    "MalformedResidentId",
    "ResidentId",
    "is_valid_credit_code",
    "is_valid_resident_id",
    "parse_credit_code",
    "parse_resident_id",
]
