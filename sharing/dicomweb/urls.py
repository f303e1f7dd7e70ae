"""``/dicom-web/``: the same resources under both roots (PS3.18 §10.1, Table 10.1.1-1)."""

from __future__ import annotations

from django.urls import URLPattern, include, path

from common.dicomweb.server import NoSuchResource
from sharing.dicomweb import frames, qido, rendered, wado

app_name = "dicomweb"

_STUDY = "studies/<str:study_uid>"
_SERIES = f"{_STUDY}/series/<str:series_uid>"
_INSTANCE = f"{_SERIES}/instances/<str:instance_uid>"
_FRAMES = f"{_INSTANCE}/frames/<str:frames>"


def _resources() -> list[URLPattern]:
    return [
        path("studies", qido.SearchStudiesView.as_view(), name="search-studies"),
        path("series", qido.SearchSeriesView.as_view(), name="search-series"),
        path(f"{_STUDY}/series", qido.SearchSeriesView.as_view(), name="search-study-series"),
        path(
            f"{_STUDY}/instances", qido.SearchInstancesView.as_view(), name="search-study-instances"
        ),
        path(f"{_SERIES}/instances", qido.SearchInstancesView.as_view(), name="search-instances"),
        path(_STUDY, wado.RetrieveStudyView.as_view(), name="study"),
        path(_SERIES, wado.RetrieveSeriesView.as_view(), name="series"),
        path(_INSTANCE, wado.RetrieveInstanceView.as_view(), name="instance"),
        path(f"{_STUDY}/metadata", wado.StudyMetadataView.as_view(), name="study-metadata"),
        path(f"{_SERIES}/metadata", wado.SeriesMetadataView.as_view(), name="series-metadata"),
        path(f"{_INSTANCE}/metadata", wado.InstanceMetadataView.as_view(), name="metadata"),
        path(_FRAMES, frames.RetrieveFramesView.as_view(), name="frames"),
        path(
            f"{_INSTANCE}/bulkdata/<str:path>",
            frames.RetrieveBulkDataView.as_view(),
            name="bulkdata",
        ),
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


urlpatterns = [
    path("", NoSuchResource.as_view(), name="root"),
    *_resources(),
    path("at/<slug:institution_code>/", include((_resources(), "at"))),
    path("<path:rest>", NoSuchResource.as_view()),
]
