"""Logging in and out, and a new password."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import views
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views import View
from django.views.decorators.debug import sensitive_post_parameters

from common import audit, request_context
from common.accounts import codes, entering, passwords, sessions, throttle
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

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        provider = settings.OIDC.name if settings.OIDC else ""
        return super().get_context_data(**kwargs) | {"provider": provider}

    @method_decorator(sensitive_post_parameters())
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        until = throttle.locked_until(username=_username(request), address=_address())
        if until is not None:
            return locked_page(request, seconds=throttle.seconds_until(until))
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user = form.get_user()
        throttle.forgive(username=_username(self.request))
        return entering.go_on(
            self.request,
            user,
            by="password",
            next_url=self.get_redirect_url(),
        )

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        username = _username(self.request)
        throttle.count_failure(username=username, address=_address())
        # Only a name that exists is told: what else is typed there may be a password.
        user = User.objects.filter(username=username).first()
        audit.record(user, "login", result="refused")
        return super().form_invalid(form)


@method_decorator(public, name="dispatch")
class CodeView(View):
    """``/accounts/code/``: the second factor of somebody who has shown the first."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if entering.half_login(request) is None:
            return redirect("accounts:login")
        return _code_page(request)

    @method_decorator(sensitive_post_parameters())
    def post(self, request: HttpRequest) -> HttpResponse:
        half = entering.half_login(request)
        if half is None:
            return redirect("accounts:login")
        try:
            second = codes.show(half.user, request.POST.get("code", ""))
        except codes.Locked as locked:
            return locked_page(request, seconds=locked.seconds)
        if not second:
            audit.record(half.user, "login", result="refused", detail={"by": half.by})
            return _code_page(request, wrong=True)
        return entering.enter(request, half.user, by=half.by, second=second, next_url=half.next_url)


def _code_page(request: HttpRequest, *, wrong: bool = False) -> HttpResponse:
    return render(request, "accounts/code.html", {"wrong": wrong})


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
        if request.user.is_authenticated and not request.user.has_usable_password():
            said = _("Your account has no password here: you log in at your provider.")
            return error_page(request, 403, detail=said)
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        passwords.remember(form.user)
        former = self.request.session.session_key
        response = super().form_valid(form)
        user = form.user
        User.objects.filter(pk=user.pk).update(must_change_password=False)
        sessions.follow_key(self.request, former)
        audit.record(user, "password.change", obj=user)
        sessions.end_sessions(actor=user, user=user, but=self.request.session.session_key)
        return response


def _username(request: HttpRequest) -> str:
    return request.POST.get("username", "").replace("\x00", "")[:150]


def _address() -> str:
    return request_context.current().address


def locked_page(request: HttpRequest, *, seconds: int) -> HttpResponse:
    """The page for whoever has to wait after too many failures."""
    minutes = seconds // 60 + 1
    text = ngettext(
        "Too many failed attempts. Try again in %(minutes)d minute.",
        "Too many failed attempts. Try again in %(minutes)d minutes.",
        minutes,
    )
    response = error_page(request, 429, detail=text % {"minutes": minutes})
    response.headers["Retry-After"] = str(seconds)
    return response
