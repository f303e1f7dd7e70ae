"""A person's own account: data, language, second factor, recovery codes, sessions."""

from __future__ import annotations

from typing import Any

import segno
from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from common import audit
from common.accounts import codes, demands, entering, factors, sessions
from common.accounts.models import OutsideIdentity, User
from common.accounts.views import locked_page
from common.errors import DomainError

# What the authenticator app calls us. ASCII: percent signs for Han characters would treble the picture's squares.
ISSUER = "Imaging cloud"


class AccountForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """What people may change about themselves; their name and their rights are their administrator's."""

    class Meta:
        model = User
        fields = ("email", "language")


@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """``/accounts/``: everything about the reader's own account on one page."""
    user = reader_of(request)
    form = AccountForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        # Only what the form holds: the row may have changed meanwhile.
        user.save(update_fields=["email", "language"])
        audit.record(user, "account.change", obj=user, detail={"fields": form.changed_data})
        messages.success(request, _("Saved."))
        response = redirect("accounts:account")
        if user.language:
            response.set_cookie(settings.LANGUAGE_COOKIE_NAME, user.language, samesite="Lax")
        return response
    return render(
        request,
        "accounts/account.html",
        {
            "form": form,
            "factor": factors.factor_state(user),
            "is_demanded": demands.is_demanded(user),
            "sessions": sessions.list_sessions(user, current=request.session.session_key),
            "has_password": user.has_usable_password(),
            "provider": settings.OIDC.name if settings.OIDC else "",
            "identity": _identity(user),
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("code")
def enrol(request: HttpRequest) -> HttpResponse:
    """``/accounts/second-factor/``: set up the generator; afterwards the recovery codes, once."""
    user = reader_of(request)
    wrong = False
    if request.method == "POST":
        try:
            recovery_codes = factors.confirm_enrolment(user, request.POST.get("code", ""))
        except factors.CodeWrong:
            wrong = True
        except factors.FactorMissing:
            return redirect("accounts:enrol")
        else:
            _verified_from_here(request, user)
            return _codes_page(request, recovery_codes, is_first=True)
    try:
        enrolment = factors.begin_enrolment(user, issuer=ISSUER)
    except factors.FactorExists:
        return redirect("accounts:account")
    context = {
        "key": enrolment.key,
        "picture": _picture(enrolment.uri),
        "wrong": wrong,
        "is_demanded": demands.is_missing(request),
    }
    return render(request, "accounts/enrol.html", context)


@require_POST
@sensitive_post_parameters("code")
def renew_codes(request: HttpRequest) -> HttpResponse:
    """``POST /accounts/recovery-codes/``: new ones, for a code; the former ones end."""
    user = reader_of(request)
    refused = _code_refused(request, user)
    if refused is not None:
        return refused
    return _codes_page(request, factors.renew_recovery_codes(user), is_first=False)


@require_POST
@sensitive_post_parameters("code")
def remove_factor(request: HttpRequest) -> HttpResponse:
    """``POST /accounts/second-factor/remove``: for a code; who must have one sets up the next at once."""
    user = reader_of(request)
    refused = _code_refused(request, user)
    if refused is not None:
        return refused
    factors.remove_factor(actor=user, user=user)
    request.session.pop(demands.MARK, None)
    sessions.renew_key(request)
    sessions.end_sessions(actor=user, user=user, but=request.session.session_key)
    messages.success(request, _("The second factor is taken away."))
    return redirect("accounts:enrol")


@require_POST
def end_session(request: HttpRequest, session_id: int) -> HttpResponse:
    """``POST /accounts/sessions/{id}/end``."""
    user = reader_of(request)
    sessions.end_session(actor=user, user=user, session_id=session_id)
    messages.success(request, _("This session has ended."))
    return redirect("accounts:account")


@require_POST
def end_other_sessions(request: HttpRequest) -> HttpResponse:
    """``POST /accounts/sessions/end``: all but the one in use."""
    user = reader_of(request)
    sessions.end_sessions(actor=user, user=user, but=request.session.session_key)
    messages.success(request, _("All other sessions have ended."))
    return redirect("accounts:account")


def reader_of(request: HttpRequest) -> User:
    """The person whose account this is: by a session of their own, never by a token."""
    reader: Any = request.user
    user = User.objects.get(pk=reader.pk)
    if user.is_system or getattr(request, "bearer", None) is not None:
        raise AccountOfSystem
    return user


class AccountOfSystem(DomainError):
    """A system has tokens, and no account page."""

    code = "account-of-system"


def _identity(user: User) -> OutsideIdentity | None:
    if not settings.OIDC:
        return None
    return OutsideIdentity.objects.filter(user=user, issuer=settings.OIDC.issuer).first()


def _verified_from_here(request: HttpRequest, user: User) -> None:
    entering.mark_verified(request, codes.GENERATOR)
    sessions.renew_key(request)
    # They have not shown a code, and would go on without one.
    sessions.end_sessions(actor=user, user=user, but=request.session.session_key)


def _code_refused(request: HttpRequest, user: User) -> HttpResponse | None:
    """The answer to a code that does not prove the second factor; None where it does."""
    try:
        proved = codes.show(user, request.POST.get("code", ""))
    except codes.Locked as locked:
        return locked_page(request, seconds=locked.seconds)
    if proved:
        return None
    audit.record(user, "second-factor.code", obj=user, result="refused")
    messages.error(request, _("This code is not valid, or was used before."))
    return redirect("accounts:account")


def _codes_page(request: HttpRequest, recovery_codes: list[str], *, is_first: bool) -> HttpResponse:
    context = {"recovery_codes": recovery_codes, "is_first": is_first}
    return render(request, "accounts/recovery_codes.html", context)


def _picture(uri: str) -> str:
    """The QR code as SVG in the page itself: in an address of ours the key would be written into logs."""
    code = segno.make(uri, error="m")
    drawn = code.svg_inline(border=4, omitsize=True, light="#fff", svgclass="qr", lineclass=None)
    return mark_safe(drawn)  # noqa: S308 - of our own making, and the library writes numbers only
