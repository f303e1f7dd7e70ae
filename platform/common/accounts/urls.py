"""Logging in and out, and a person's own account."""

from __future__ import annotations

from django.urls import path

from common.accounts import account_views, oidc_views, views

app_name = "accounts"
urlpatterns = [
    path("", account_views.account, name="account"),
    path("login/", views.LoginView.as_view(), name="login"),
    path("code/", views.CodeView.as_view(), name="code"),
    path("logout/", views.LogoutView.as_view(), name="logout"),
    path("password/", views.PasswordView.as_view(), name="password"),
    path("oidc/", oidc_views.begin, name="oidc"),
    path("oidc/back", oidc_views.back, name="oidc-back"),
    path("oidc/link", oidc_views.link, name="oidc-link"),
    path("oidc/unlink", oidc_views.unlink, name="oidc-unlink"),
    path("second-factor/", account_views.enrol, name="enrol"),
    path("second-factor/remove", account_views.remove_factor, name="remove-factor"),
    path("recovery-codes/", account_views.renew_codes, name="renew-codes"),
    path("sessions/end", account_views.end_other_sessions, name="end-other-sessions"),
    path("sessions/<int:session_id>/end", account_views.end_session, name="end-session"),
]
