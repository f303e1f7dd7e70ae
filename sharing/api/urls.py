"""Routes of this module under ``/api/v1/``."""

from django.urls import path

from sharing.api import access, federated, launches, reports, retrieval

urlpatterns = [
    path("encounters", access.EncountersView.as_view(), name="api-encounters"),
    path("encounters/close", access.CloseEncounterView.as_view(), name="api-encounter-close"),
    path("encounters/<int:encounter_id>", access.EncounterView.as_view(), name="api-encounter"),
    path("consents", access.ConsentsView.as_view(), name="api-consents"),
    path(
        "consents/<int:consent_id>/withdraw",
        access.WithdrawConsentView.as_view(),
        name="api-consent-withdraw",
    ),
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
    path("launches", launches.LaunchesView.as_view(), name="api-launches"),
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
