"""Django's administration: what is changed there changes rights, so it is in the audit as everything else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest

from common import audit
from common.ui.pages import actor_of


class AuditedGroupAdmin(GroupAdmin):
    """Groups and their permissions."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        audit.record(actor_of(request), "admin.add", obj)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        audit.record(actor_of(request), "admin.change", obj)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        _each_deleted(request, queryset)
        return super().log_deletions(request, queryset)


def _each_deleted(request: HttpRequest, rows: Iterable[Any]) -> None:
    for row in rows:
        audit.record(actor_of(request), "admin.delete", row)


admin.site.unregister(Group)
admin.site.register(Group, AuditedGroupAdmin)
