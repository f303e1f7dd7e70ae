"""Which of the two roots was asked, and the addresses that answers carry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, cast

import orjson
import structlog
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import get_script_prefix, reverse

from common.dicomweb.media_types import DICOM_JSON, Representation
from common.dicomweb.server import DICOMwebView
from common.errors import NotFound
from common.storage import ObjectMissing
from sharing import selectors
from sharing.dicomweb.capabilities import JSON, METHODS, WADL, as_json, as_wadl
from sharing.dicomweb.on_demand import not_here_yet
from sharing.errors import ArchiveDamaged, NotPulledYet

if TYPE_CHECKING:
    from common.accounts.models import User


_AT_INSTITUTION = "at/<slug:institution_code>/"
log = structlog.get_logger(__name__)

JSON_OFFERS = (
    Representation(DICOM_JSON, multipart=False),
    Representation("application/json", multipart=False),
)


@dataclass(frozen=True)
class Root:
    """``/dicom-web`` over all institutions, or ``/dicom-web/at/{code}`` of one of them."""

    url: str  # absolute, without a slash at the end, as the caller reaches it
    institution_code: str = ""

    def of_institution(self, code: str) -> str:
        """The absolute root of one institution."""
        return self.url if self.institution_code else f"{self.url}/at/{code}"


class OriginView(DICOMwebView):
    """A resource under either root. ``institution_code`` is empty under the common one."""

    def handle(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The handler's answer. What is missed where a place was remembered is looked for once more: it may
        have been stored since, through another process. What is still at its hospital answers with the way to
        the progress. What the index knows and the object store has not is no absence, but damage."""
        try:
            return self._answered_at_last(request, *args, **kwargs)
        except ObjectMissing as error:
            log.exception("archive.object_missing", key=error.facts.get("key", ""))
            raise ArchiveDamaged("A part of this study is missing in the archive.") from error

    def _answered_at_last(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        try:
            return self._answered(request, *args, **kwargs)
        except NotFound:
            if not self._forget_place():
                raise
        return self._answered(request, *args, **kwargs)

    def _answered(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return super().handle(request, *args, **kwargs)
        except NotPulledYet as refusal:
            return not_here_yet(request, refusal, self._place_or(refusal))

    def _place_or(self, refusal: NotPulledYet) -> selectors.StudyPlace:
        if "study_uid" not in self.kwargs:
            raise refusal
        return selectors.place_study(
            actor=self.actor,
            study_instance_uid=self.kwargs["study_uid"],
            institution_code=self.institution_code,
        )

    def _forget_place(self) -> bool:
        study, series = self.kwargs.get("study_uid"), self.kwargs.get("series_uid")
        return bool(study and series) and selectors.forget_series(
            actor=self.actor,
            study_instance_uid=study,
            series_instance_uid=series,
            institution_code=self.institution_code,
        )

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The methods; and the Capabilities Description of the resource where one asks for it (§8.9)."""
        match = request.resolver_match
        name = match.url_name if match is not None else None
        if name not in METHODS or match is None:
            return super().options(request, *args, **kwargs)
        if not any(each.name in (WADL, JSON) for each in self.accepted):
            return super().options(request, *args, **kwargs)
        mount = reverse("dicomweb:root").removeprefix(get_script_prefix())
        route = match.route.removeprefix(mount).removeprefix(_AT_INSTITUTION)
        return self.described([(str(name), route)])

    def described(self, routes: list[tuple[str, str]]) -> HttpResponse:
        """The Capabilities Description of these resources."""
        form = self.negotiate(
            (Representation(WADL, multipart=False), Representation(JSON, multipart=False)),
            refusal=f"Capabilities are described as {WADL} or {JSON}.",
        )
        base = self.root.url
        if form.media_type == JSON:
            answer = HttpResponse(orjson.dumps(as_json(base, routes)), content_type=JSON)
        else:
            answer = HttpResponse(as_wadl(base, routes), content_type=WADL)
        answer["Allow"] = self.allowed
        return answer

    @property
    def actor(self) -> User:
        # The middleware has turned strangers away; what a view sees is an account.
        return cast("User", self.request.user)

    @property
    def institution_code(self) -> str:
        return str(self.kwargs.get("institution_code", ""))

    @cached_property
    def root(self) -> Root:
        """Right behind a proxy too: the host it names, and the prefix the server was mounted at."""
        path = _path_of_root(get_script_prefix())
        if self.institution_code:
            path += f"/at/{self.institution_code}"
        return Root(self.request.build_absolute_uri(path), self.institution_code)


@lru_cache(maxsize=16)
def _path_of_root(prefix: str) -> str:
    """Made once for a mount point: the URL map is too long to be searched for every part of every answer."""
    return reverse("dicomweb:root").rstrip("/")
