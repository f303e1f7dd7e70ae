"""Django's administration, entered through our log-in page only."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from common.errors import NotPermitted


def login(request: HttpRequest) -> HttpResponse:
    """``/admin/login/``, where the administration sends those it does not let in.

    Its own form would neither count failures nor record them. Strangers are on the log-in page already:
    every view is closed to them.
    """
    if admin.site.has_permission(request):
        return redirect("admin:index")
    raise NotPermitted(_("Your roles do not allow this."))
