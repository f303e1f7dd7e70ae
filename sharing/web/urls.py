"""Pages of sharing."""

from __future__ import annotations

from django.urls import path
from django.utils.translation import gettext_lazy as _

from common.ui import navigation, panels
from sharing.web import (
    access_urls,
    consult_urls,
    fetching,
    home,
    hospital,
    keeping_urls,
    launch_urls,
    link_urls,
    message_urls,
    operations,
    patient,
    portal,
    report_search,
    reports,
    studies,
    study,
)

app_name = "sharing"
urlpatterns = [
    path("", home.home, name="home"),
    path("studies/", studies.study_list, name="studies"),
    path("studies/export.csv", studies.export, name="export"),
    path("studies/saved/", portal.save, name="saved-save"),
    path("studies/saved/<int:search_id>/delete", portal.delete, name="saved-delete"),
    path("patients/recent/clear", patient.clear_recent, name="recent-clear"),
    path("patients/numbers/<int:patient_id>/unmask", patient.unmask, name="unmask"),
    path("patients/<str:key>/", patient.patient, name="patient"),
    path("patients/<str:key>/compare/", patient.compare, name="compare"),
    path("studies/<slug:code>/<str:study_uid>/", study.study, name="study"),
    path("studies/<slug:code>/<str:study_uid>/open/", study.open_images, name="open"),
    path("studies/<slug:code>/<str:study_uid>/priors/", study.priors, name="priors"),
    path("studies/<slug:code>/<str:study_uid>/fetch/", fetching.fetch, name="fetch"),
    path(
        "studies/<slug:code>/<str:study_uid>/view/<str:series_uid>/",
        study.view_series,
        name="view",
    ),
    path(
        "studies/<slug:code>/<str:study_uid>/view/<str:series_uid>/slices.json",
        study.slices,
        name="slices",
    ),
    path("studies/<slug:code>/<str:study_uid>/report/", reports.report, name="report"),
    path("reports/", report_search.report_list, name="reports"),
    path("reports/of/<str:study_uid>/", reports.beside, name="report-beside"),
    *access_urls.urlpatterns,
    *consult_urls.urlpatterns,
    *keeping_urls.urlpatterns,
    *link_urls.urlpatterns,
    *message_urls.urlpatterns,
    *launch_urls.urlpatterns,
    path("operations/", operations.operations, name="operations"),
    path("operations/transfers/<int:transfer_id>/retry", operations.retry, name="retry"),
    path("operations/hospitals/<slug:code>/", hospital.work, name="hospital-work"),
]

for entry in (
    navigation.Entry("sharing:home", _("Start"), order=10, visible=lambda request: True),
    navigation.Entry("sharing:studies", _("Studies"), order=30, visible=studies.may_list),
    navigation.Entry("sharing:reports", _("Reports"), order=34, visible=report_search.may_read),
    navigation.Entry("sharing:operations", _("Faults"), order=40, visible=operations.may_operate),
):
    navigation.add(entry)

panels.add(
    panels.Panel(
        "study",
        "reports",
        10,
        "sharing/_study_reports.html",
        reports.study_context,
        in_launch=True,
    )
)
panels.add(
    panels.Panel("hospital", "work", 10, "sharing/_hospital_work.html", hospital.work_context)
)
panels.add(
    panels.Panel("hospital", "record", 20, "sharing/_hospital_record.html", hospital.record_context)
)
