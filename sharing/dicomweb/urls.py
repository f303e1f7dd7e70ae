"""``/dicom-web/``: the same resources under both roots (PS3.18 §10.1, Table 10.1.1-1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, include, path
from django.views.decorators.csrf import csrf_exempt

from common.dicomweb.server import DICOMwebView, NoSuchResource, resource
from common.errors import NotFound
from sharing.dicomweb import bulk_of_many, deletion, frames, metadata, qido, rendered, stow, wado
from sharing.dicomweb.origin import OriginView

app_name = "dicomweb"

_STUDY = "studies/<str:study_uid>"
_SERIES = f"{_STUDY}/series/<str:series_uid>"
_INSTANCE = f"{_SERIES}/instances/<str:instance_uid>"
_FRAMES = f"{_INSTANCE}/frames/<str:frames>"


def _written(**views: type[DICOMwebView]) -> Callable[..., HttpResponseBase]:
    """A resource that can be written to. Its views ask for proof of the same origin themselves
    (``writing.require_same_origin``): viewers cannot send Django's token."""
    return csrf_exempt(resource(**views))


def _resources() -> list[URLPattern]:
    return [
        # First, because it is asked for most and each pattern before it is tried in vain.
        path(_FRAMES, frames.RetrieveFramesView.as_view(), name="frames"),
        path(
            "studies",
            _written(get=qido.SearchStudiesView, post=stow.StoreView),
            name="search-studies",
        ),
        path("series", qido.SearchSeriesView.as_view(), name="search-series"),
        path("instances", qido.SearchInstancesView.as_view(), name="search-all-instances"),
        path(f"{_STUDY}/series", qido.SearchSeriesView.as_view(), name="search-study-series"),
        path(
            f"{_STUDY}/instances", qido.SearchInstancesView.as_view(), name="search-study-instances"
        ),
        path(f"{_SERIES}/instances", qido.SearchInstancesView.as_view(), name="search-instances"),
        path(
            _STUDY,
            _written(
                get=wado.RetrieveStudyView, post=stow.StoreView, delete=deletion.DeleteStudyView
            ),
            name="study",
        ),
        path(_SERIES, wado.RetrieveSeriesView.as_view(), name="series"),
        path(_INSTANCE, wado.RetrieveInstanceView.as_view(), name="instance"),
        path(f"{_STUDY}/metadata", metadata.StudyMetadataView.as_view(), name="study-metadata"),
        path(f"{_SERIES}/metadata", metadata.SeriesMetadataView.as_view(), name="series-metadata"),
        path(f"{_INSTANCE}/metadata", metadata.InstanceMetadataView.as_view(), name="metadata"),
        path(
            f"{_INSTANCE}/bulkdata/<str:path>",
            frames.RetrieveBulkDataView.as_view(),
            name="bulkdata",
        ),
        *[
            path(f"{place}/{what}", view.as_view(), name=f"{name}-{what}")
            for place, name in ((_STUDY, "study"), (_SERIES, "series"), (_INSTANCE, "instance"))
            for what, view in (
                ("bulkdata", bulk_of_many.BulkDataOfManyView),
                ("pixeldata", bulk_of_many.PixelDataOfManyView),
            )
        ],
        path(f"{_INSTANCE}/rendered", rendered.RenderedView.as_view(), name="rendered"),
        path(f"{_FRAMES}/rendered", rendered.RenderedView.as_view(), name="frame-rendered"),
        path(f"{_INSTANCE}/thumbnail", rendered.ThumbnailView.as_view(), name="thumbnail"),
        path(f"{_FRAMES}/thumbnail", rendered.ThumbnailView.as_view(), name="frame-thumbnail"),
        path(f"{_STUDY}/rendered", rendered.RenderedStudyView.as_view(), name="study-rendered"),
        path(f"{_SERIES}/rendered", rendered.RenderedSeriesView.as_view(), name="series-rendered"),
        path(f"{_STUDY}/thumbnail", rendered.ThumbnailOfManyView.as_view(), name="study-thumbnail"),
        path(
            f"{_SERIES}/thumbnail", rendered.ThumbnailOfManyView.as_view(), name="series-thumbnail"
        ),
    ]


_RESOURCES = _resources()


class RootView(OriginView):
    """The service itself: OPTIONS describes all of its resources (PS3.18 §8.9)."""

    def get(self, request: HttpRequest, **_: str) -> HttpResponse:
        raise NotFound("There is no such DICOMweb resource.")

    def options(self, request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
        return self.described([(str(each.name), str(each.pattern)) for each in _RESOURCES])


urlpatterns = [
    path("", RootView.as_view(), name="root"),
    *_RESOURCES,
    path("at/<slug:institution_code>/", RootView.as_view()),
    path("at/<slug:institution_code>/", include((_resources(), "at"))),
    path("<path:rest>", NoSuchResource.as_view()),
]
