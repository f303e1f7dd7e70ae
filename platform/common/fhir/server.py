"""The serving side of FHIR: read and search of any resource type (R4 §3.1.0)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, cast

import orjson
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from common.dicomweb.server import not_modified
from common.errors import DomainError, NotFound
from common.fhir.bundle import searchset
from common.fhir.capability import capability_statement
from common.fhir.errors import FHIRRefusal
from common.fhir.formats import chosen_format
from common.fhir.resources import Context, Resource, ResourceType
from common.fhir.search import Search, read_search
from common.fhir.values import ID
from common.outcome import FHIR_JSON, issue, operation_outcome
from common.problem import domain_error_response, fhir_error

if TYPE_CHECKING:
    from common.accounts.models import User

Kinds = Mapping[str, ResourceType]
_MOST_BYTES = 2**20
_FORM = "application/x-www-form-urlencoded"


class FHIRView(View):
    """Turns refusals into an OperationOutcome; answers HEAD as GET without the body."""

    http_method_names = ["get", "head", "options"]  # as the base class has it
    kinds: Kinds = {}

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            answer = super().dispatch(request, *args, **kwargs)
        except FHIRRefusal as refusal:
            answer = refused(refusal)
        except DomainError as refusal:
            answer = domain_error_response(request, refusal)
        if request.method == "HEAD" and isinstance(answer, HttpResponse):
            answer["Content-Length"] = str(len(answer.content))
            answer.content = b""
        return answer

    def http_method_not_allowed(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        allowed = ", ".join(each.upper() for each in self.http_method_names)
        return fhir_error(
            405,
            code="method-not-allowed",
            detail=f"This answers {allowed}.",
            headers={"Allow": allowed},
        )

    @cached_property
    def context(self) -> Context:
        """Who asks, and under which address."""
        # The middleware has turned strangers away; what a view sees is an account.
        actor = cast("User", self.request.user)
        absolute = self.request.build_absolute_uri
        return Context(actor, absolute(reverse("fhir:root")).rstrip("/"), absolute)

    def answer(self, resource: Resource, *, lasting: bool = True) -> HttpResponse:
        """The resource in the format that is wanted; with an ETag where it is ``lasting``."""
        given = {**self.request.GET.dict(), **self.request.POST.dict()}
        media_type = chosen_format(self.request, given.get("_format", ""))
        pretty = orjson.OPT_INDENT_2 if given.get("_pretty") == "true" else 0
        body = orjson.dumps(resource, option=pretty)
        answer = HttpResponse(body, content_type=f"{media_type}; charset=utf-8")
        if lasting:
            etag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
            answer = not_modified(self.request, etag) or answer
            answer["ETag"] = etag
        answer["Cache-Control"] = "private, no-cache"
        answer["Vary"] = "Accept, Cookie, Authorization"
        return answer


def refused(refusal: FHIRRefusal) -> HttpResponse:
    """A refusal as an OperationOutcome."""
    outcome = operation_outcome(issue(refusal.issue, refusal.message, code=refusal.code))
    return HttpResponse(
        orjson.dumps(outcome), status=refusal.status, content_type=f"{FHIR_JSON}; charset=utf-8"
    )


class CapabilityView(FHIRView):
    """``GET /fhir/metadata``."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.answer(capability_statement(self.kinds.values(), base=self.context.base))


class ReadView(FHIRView):
    """``GET /fhir/{type}/{id}``."""

    kind: ClassVar[str] = ""

    def get(self, request: HttpRequest, *, resource_id: str) -> HttpResponse:
        if ID.fullmatch(resource_id) is None:
            raise NotFound("There is no such resource.")
        return self.answer(self.kinds[self.kind].read(self.context, resource_id))


class SearchView(FHIRView):
    """``GET /fhir/{type}?…``."""

    kind: ClassVar[str] = ""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.answer(self.found(_pairs(request.GET)), lasting=False)

    def found(self, pairs: list[tuple[str, str]]) -> Resource:
        """The bundle."""
        kind, context = self.kinds[self.kind], self.context
        search = read_search(kind, context, pairs)
        if search.ignored and _is_strict(self.request):
            named = ", ".join(search.ignored)
            raise FHIRRefusal(
                f"These parameters are not known here: {named}.", issue="not-supported"
            )
        bundle = self._counted(search) if search.count_only else self._matched(search)
        kind.note_search(context)
        return bundle

    def _counted(self, search: Search) -> Resource:
        total = self.kinds[self.kind].count(self.context, search.condition)
        return self._bundle(search, {"self": self._link(search)}, total=total)

    def _matched(self, search: Search) -> Resource:
        kind, context = self.kinds[self.kind], self.context
        page = kind.search(context, search.condition, after=search.after, size=search.size)
        total = None if search.after or page.following else len(page.resources)
        if search.total == "accurate" and total is None:
            total = kind.count(context, search.condition)
        links = {"self": self._link(search, after=search.after)}
        if page.following:
            links["next"] = self._link(search, after=page.following)
        return self._bundle(
            search,
            links,
            total=None if search.total == "none" else total,
            matches=page.resources,
            included=self._included(search, page.resources),
        )

    def _bundle(
        self,
        search: Search,
        links: dict[str, list[tuple[str, str]]],
        *,
        total: int | None,
        matches: Sequence[Resource] = (),
        included: Sequence[Resource] = (),
    ) -> Resource:
        return searchset(
            self.context,
            address=f"{self.context.base}/{self.kind}",
            links=links,
            total=total,
            matches=matches,
            included=included,
            ignored=search.ignored,
        )

    def _link(self, search: Search, *, after: str = "") -> list[tuple[str, str]]:
        return search.link(self.context.actor.pk, after=after)

    def _included(self, search: Search, matches: Sequence[Resource]) -> list[Resource]:
        wanted: dict[str, dict[str, None]] = {}
        for include in search.includes:
            ids = wanted.setdefault(include.target, {})
            for match in matches:
                for reference in include.references(match):
                    ids[str(reference["reference"]).partition("/")[2]] = None
        return [
            resource
            for target, ids in wanted.items()
            if ids
            for resource in self.kinds[target].load(self.context, list(ids))
        ]


class CreateView(SearchView):
    """``POST /fhir/{type}``: create; GET searches. A session needs Django's own proof that the page is ours."""

    http_method_names = ["get", "head", "post", "options"]

    def post(self, request: HttpRequest) -> HttpResponse:
        made = self.kinds[self.kind].create(self.context, _sent(request))
        place = f"{self.context.base}/{self.kind}/{made.id}"
        waiting = "It is kept, and can be read when what it is about is known here."
        said = made.resource or operation_outcome(
            issue("informational", waiting, severity="information")
        )
        answer = self.answer(said, lasting=False)
        answer.status_code = 201 if made.new else 200
        answer["Location"] = place
        return answer


def _sent(request: HttpRequest) -> Resource:
    """The resource in the body.

    Raises:
        FHIRRefusal: not JSON, too long, or no resource.
    """
    if request.content_type not in {FHIR_JSON, "application/json"}:
        raise FHIRRefusal(f"A resource is sent as {FHIR_JSON}.", status=415, issue="not-supported")
    data = request.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise FHIRRefusal("The resource is too large.", status=413, issue="too-long")
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise FHIRRefusal("The body is no JSON.", issue="structure") from error
    if not isinstance(found, dict):
        raise FHIRRefusal("The body is no resource.", issue="structure")
    return found


@method_decorator(
    csrf_exempt, name="dispatch"
)  # it changes nothing, and its answer is no other site's
class PostedSearchView(SearchView):
    """``POST /fhir/{type}/_search``: so that what is searched for stands in no address."""

    http_method_names = ["post", "options"]
    only_reads = True

    def post(self, request: HttpRequest) -> HttpResponse:
        if request.content_type not in {_FORM, ""}:
            raise FHIRRefusal(f"A search is sent as {_FORM}.", status=415, issue="not-supported")
        return self.answer(self.found(_pairs(request.GET) + _pairs(request.POST)), lasting=False)


class NoSuchResource(FHIRView):
    """Anything else under ``/fhir/``."""

    def get(self, request: HttpRequest, **_: str) -> HttpResponse:
        raise NotFound("There is no such resource type or interaction; see /fhir/metadata.")


def _pairs(parameters: Any) -> list[tuple[str, str]]:
    return [(name, value) for name, values in parameters.lists() for value in values]


def _is_strict(request: HttpRequest) -> bool:
    """``Prefer: handling=strict`` (§3.1.1.1)."""
    wishes = request.headers.get("Prefer", "").replace(";", ",").split(",")
    return "handling=strict" in {each.replace(" ", "").lower() for each in wishes}
