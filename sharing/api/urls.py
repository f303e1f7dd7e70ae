"""Routes of this module under ``/api/v1/``."""

from django.urls import path

from sharing.api import federated, reports, retrieval

urlpatterns = [
    path("reports", reports.ReportsView.as_view(), name="api-reports"),
    path("reports/<int:report_id>", reports.ReportView.as_view(), name="api-report"),
    path(
        "studies/<slug:institution_code>/<str:study_uid>/reports",
        reports.StudyReportsView.as_view(),
        name="api-study-reports",
    ),
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
