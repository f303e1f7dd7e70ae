"""Logging in and out, and a new password."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import views
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_post_parameters

from common import audit, request_context
from common.accounts import throttle
from common.accounts.models import User
from common.accounts.public import public
from common.problem import error_page


class PersonForm(AuthenticationForm):
    """User name and password; systems have tokens instead."""

    def confirm_login_allowed(self, user: User) -> None:
        super().confirm_login_allowed(user)
        if user.is_system:
            raise ValidationError(self.get_invalid_login_error().messages[0], code="invalid_login")


@method_decorator(public, name="dispatch")
class LoginView(views.LoginView):
    """``/accounts/login/``."""

    template_name = "accounts/login.html"
    authentication_form = PersonForm
    redirect_authenticated_user = True

    @method_decorator(sensitive_post_parameters())
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        until = throttle.locked_until(username=_username(request), address=_address())
        if until is not None:
            return _locked(request, seconds=int((until - timezone.now()).total_seconds()) + 1)
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user = form.get_user()
        throttle.forgive(username=_username(self.request))
        response = super().form_valid(form)
        audit.record(user, "login")
        if isinstance(user, User) and user.language:
            response.set_cookie(settings.LANGUAGE_COOKIE_NAME, user.language, samesite="Lax")
        return response

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        username = _username(self.request)
        throttle.count_failure(username=username, address=_address())
        # Only a name that exists is told: what else is typed there may be a password.
        user = User.objects.filter(username=username).first()
        audit.record(user, "login", result="refused")
        return super().form_invalid(form)


class LogoutView(views.LogoutView):
    """``POST /accounts/logout/``."""

    http_method_names = ["post", "options"]  # as the framework declares it
    next_page = "accounts:login"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if isinstance(request.user, User):
            audit.record(request.user, "logout")
        return super().post(request, *args, **kwargs)


class PasswordView(views.PasswordChangeView):
    """``/accounts/password/``: a new password; other sessions of the account end."""

    template_name = "accounts/password.html"
    success_url = "/"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if isinstance(request.user, User) and request.user.is_system:
            return error_page(request, 403, detail=_("A system has tokens and no password."))
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        user = form.user
        User.objects.filter(pk=user.pk).update(must_change_password=False)
        audit.record(user, "password.change", obj=user)
        return response


def _username(request: HttpRequest) -> str:
    return request.POST.get("username", "").replace("\x00", "")[:150]


def _address() -> str:
    return request_context.current().address


def _locked(request: HttpRequest, *, seconds: int) -> HttpResponse:
    minutes = seconds // 60 + 1
    text = ngettext(
        "Too many failed attempts. Try again in %(minutes)d minute.",
        "Too many failed attempts. Try again in %(minutes)d minutes.",
        minutes,
    )
    response = error_page(request, 429, detail=text % {"minutes": minutes})
    response.headers["Retry-After"] = str(seconds)
    return response
