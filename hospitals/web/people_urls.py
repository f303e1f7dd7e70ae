"""Pages about people, invitations and systems."""

from __future__ import annotations

from django.urls import path
from django.utils.translation import gettext_lazy as _

from common.ui import navigation, panels
from hospitals.web import invitations, people, systems

urlpatterns = [
    path("", people.people, name="people"),
    path("invite", invitations.invite, name="invite"),
    path("invitations/<int:invitation_id>/revoke", invitations.revoke, name="invitation-revoke"),
    path("join/<str:code>", invitations.join, name="join"),
    path("<int:membership_id>/", people.person, name="person"),
    path("<int:membership_id>/end", people.end, name="person-end"),
    path("<int:membership_id>/prolong", people.prolong, name="person-prolong"),
    path("<int:membership_id>/unlock", people.unlock, name="person-unlock"),
    path("<int:membership_id>/password", people.new_password, name="person-password"),
    path("<int:membership_id>/reset", people.reset, name="person-reset"),
    path("systems/", systems.systems, name="systems"),
    path("systems/tokens/<int:token_id>/rotate", systems.rotate, name="token-rotate"),
    path("systems/tokens/<int:token_id>/revoke", systems.revoke, name="token-revoke"),
    path("systems/<str:username>/", systems.system, name="system"),
    path("systems/<str:username>/tokens", systems.issue, name="token-issue"),
]

navigation.add(
    navigation.Entry("hospitals:people", _("People"), order=60, visible=people.may_keep_people)
)

panels.add(panels.Panel("account", "roles", 10, "hospitals/_own_roles.html", people.own_roles))
