"""Addresses of what an institution's administrator keeps."""

from __future__ import annotations

from django.urls import path
from django.utils.translation import gettext_lazy as _

from common.ui import sections
from hospitals.web import keeping

urlpatterns = [
    # No institution's code is a hyphen alone.
    path("-/departments/<int:department_id>/", keeping.department_change, name="department-change"),
    path("<slug:code>/endpoint/", keeping.EndpointPage.as_view(), name="endpoint"),
    path("<slug:code>/departments/", keeping.departments, name="departments"),
    path("<slug:code>/departments/add", keeping.department_add, name="department-add"),
]

for section in (
    sections.Section(
        "hospitals:endpoint", _("Endpoint"), order=20, visible=keeping.may_keep_endpoint
    ),
    sections.Section(
        "hospitals:departments", _("Departments"), order=30, visible=keeping.may_keep_departments
    ),
):
    sections.add(section)
