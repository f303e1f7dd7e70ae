"""Routes of this module under ``/api/v1/``."""

from django.urls import path

from sharing.api import federated, retrieval

urlpatterns = [
    path(
        "studies/<slug:institution_code>/<str:study_uid>/retrieval",
        retrieval.RetrievalView.as_view(),
        name="api-retrieval",
    ),
    path(
        "federated-searches",
        federated.FederatedSearchesView.as_view(),
        name="api-federated-searches",
    ),
    path(
        "federated-searches/<slug:coverage_id>",
        federated.CoverageView.as_view(),
        name="api-coverage",
    ),
]
