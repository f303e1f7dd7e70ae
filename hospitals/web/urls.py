"""Pages about hospitals."""

from __future__ import annotations

from django.urls import path
from django.utils.translation import gettext_lazy as _

from common.ui import navigation, sections
from hospitals.web import keeping_urls, views

urlpatterns = [
    path("", views.hospital_list, name="list"),
    *keeping_urls.urlpatterns,
    path("<slug:code>/", views.hospital, name="hospital"),
    path("<slug:code>/probe", views.probe, name="probe"),
    path("<slug:code>/suspend", views.suspend, name="suspend"),
    path("<slug:code>/activate", views.activate, name="activate"),
]

navigation.add(
    navigation.Entry("hospitals:list", _("Hospitals"), order=20, visible=views.may_list_hospitals)
)

sections.add(
    sections.Section(
        "hospitals:hospital", _("Overview"), order=10, visible=lambda request, institution_id: True
    )
)
