"""What a resource type offers, as tables: the server answers from them and the CapabilityStatement is made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from django.db.models import Q

from common.errors import NotFound

if TYPE_CHECKING:
    from common.accounts.models import User

Resource = dict[str, Any]
Kind = Literal["token", "date", "string", "reference"]
SEARCH_PARAMETERS = "http://hl7.org/fhir/SearchParameter"


@dataclass(frozen=True)
class Context:
    """Who asks, and where we stand: ``base`` is the absolute address of ``/fhir``."""

    actor: User
    base: str
    absolute: Callable[[str], str]  # of a path of ours


@dataclass(frozen=True)
class Parameter:
    """A search parameter of the R4 registry that is answered truly.

    ``condition`` turns one value of a list into a condition on the type's rows. What is ``personal`` never
    stands in an address that we make.
    """

    name: str
    kind: Kind
    condition: Callable[[Context, str, str], Q]  # context, value, modifier
    definition: str
    modifiers: frozenset[str] = frozenset()
    personal: bool = False
    documentation: str = ""

    @property
    def canonical(self) -> str:
        """The address of the definition in the registry."""
        return f"{SEARCH_PARAMETERS}/{self.definition}"


@dataclass(frozen=True)
class Include:
    """What ``_include=Type:name`` adds: the resources that ``references`` finds in a match."""

    name: str
    target: str
    references: Callable[[Resource], Iterable[Mapping[str, Any]]]


@dataclass(frozen=True)
class Page:
    """One page of matches, and where the next begins; empty when there is none."""

    resources: list[Resource]
    following: str = ""


@dataclass(frozen=True)
class Created:
    """What became of a resource that was sent. ``resource`` is None where the sender may not read it now."""

    id: str
    resource: Resource | None
    new: bool  # something was written


class ResourceType(ABC):
    """One resource type. Whatever it answers is narrowed to what ``context.actor`` may see."""

    name: ClassVar[str]
    parameters: ClassVar[Sequence[Parameter]]
    includes: ClassVar[Sequence[Include]] = ()
    # ``reference.parameter``: parameters of what is referred to, as conditions on the type's own rows.
    chained: ClassVar[Mapping[str, Parameter]] = {}
    # At least one of these must be given: without them a search would walk the whole index.
    narrowed_by: ClassVar[frozenset[str]] = frozenset()
    documentation: ClassVar[str] = ""
    creates: ClassVar[bool] = False  # whether ``create`` is offered

    @abstractmethod
    def search(self, context: Context, condition: Q, *, after: str, size: int) -> Page:
        """One page in a total order that later arrivals do not shift. ``after`` is an earlier ``following``.

        Raises:
            FHIRRefusal: ``after`` is none.
        """

    @abstractmethod
    def count(self, context: Context, condition: Q) -> int:
        """How many match."""

    @abstractmethod
    def read(self, context: Context, resource_id: str) -> Resource:
        """One resource.

        Raises:
            NotFound: there is none, or the actor may not see it.
        """

    def create(self, context: Context, resource: Resource) -> Created:
        """Take in a resource that was sent (R4 §3.1.0.8); the service behind it says who may.

        Raises:
            FHIRRefusal: it is not of the form that is understood.
        """
        raise NotFound("Resources of this type are not taken in.")

    @abstractmethod
    def load(self, context: Context, ids: Collection[str]) -> list[Resource]:
        """Those of these that exist and may be seen, in few queries."""

    @abstractmethod
    def note_search(self, context: Context) -> None:
        """Write the search into the audit, where the type holds patient data."""
