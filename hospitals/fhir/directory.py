"""What Organization and Endpoint have in common: one of each per institution, named by its code."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection

from django.db.models import Q

from common.errors import NotFound
from common.fhir.errors import FHIRRefusal
from common.fhir.resources import Context, Page, Parameter, Resource, ResourceType
from common.fhir.values import ID, NOTHING, code_of_id, instants, period, text, token
from hospitals import selectors
from hospitals.models import Institution

INSTITUTION_CODE = "urn:x-province:institution-code"
CREDIT_CODE = "urn:x-province:credit-code"


def _own_id(_: Context, value: str, __: str) -> Q:
    return Q(code=code_of_id(token(value).code)) if ID.fullmatch(token(value).code) else NOTHING


def _identifier(_: Context, value: str, __: str) -> Q:
    asked = token(value)
    found = Q()
    if asked.system in (None, INSTITUTION_CODE):
        found |= Q(code=asked.code) if asked.code else Q(pk__isnull=False)
    if asked.system in (None, CREDIT_CODE):
        found |= Q(credit_code=asked.code) if asked.code else ~Q(credit_code="")
    return found if found and (asked.code or asked.system) else NOTHING


OF_INSTITUTION = (
    Parameter("_id", "token", _own_id, "Resource-id"),
    Parameter(
        "_lastUpdated",
        "date",
        lambda _, value, __: instants("updated_at", period(value)),
        "Resource-lastUpdated",
    ),
)
NAME_MODIFIERS = frozenset({"contains", "exact"})


def identifier_parameter(definition: str) -> Parameter:
    """Institution code, or unified social credit code (统一社会信用代码, policy P2)."""
    return Parameter("identifier", "token", _identifier, definition)


def name_parameter(definition: str) -> Parameter:
    """The institution's name."""
    return Parameter(
        "name",
        "string",
        lambda _, value, modifier: text("name", value, modifier),
        definition,
        modifiers=NAME_MODIFIERS,
    )


class DirectoryType(ResourceType):
    """One resource per institution that the actor may find."""

    def search(self, context: Context, condition: Q, *, after: str, size: int) -> Page:
        if after and ID.fullmatch(after) is None:
            raise FHIRRefusal("The link is not one of ours: search again.")
        rows = selectors.listed_institutions(actor=context.actor).filter(
            condition, code__gt=code_of_id(after)
        )
        found = list(rows[: size + 1])
        resources = [self.resource(context, each) for each in found[:size]]
        return Page(resources, resources[-1]["id"] if resources and len(found) > size else "")

    def count(self, context: Context, condition: Q) -> int:
        return selectors.listed_institutions(actor=context.actor).filter(condition).count()

    def read(self, context: Context, resource_id: str) -> Resource:
        found = self.load(context, [resource_id])
        if not found:
            raise NotFound(f"There is no such {self.name}.")
        return found[0]

    def load(self, context: Context, ids: Collection[str]) -> list[Resource]:
        rows = selectors.listed_institutions(actor=context.actor)
        named = rows.filter(code__in=[code_of_id(each) for each in ids])
        return [self.resource(context, each) for each in named]

    def note_search(self, context: Context) -> None:
        """Nothing: names and codes of institutions are no patient data."""

    @abstractmethod
    def resource(self, context: Context, institution: Institution) -> Resource:
        """The resource of this institution."""
