"""People and systems that log in."""

from importlib import import_module

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "common.accounts"
    label = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        import_module("common.accounts.schema")  # registers itself with the API's description

        # Here and not above: both import models of other applications.
        from django.contrib.auth.signals import user_logged_in, user_logged_out

        from common.accounts.idle import note_login
        from common.accounts.person import forget_people
        from common.accounts.sessions import note_end, note_start

        user_logged_in.connect(note_login, dispatch_uid="common.accounts.idle")
        user_logged_in.connect(note_start, dispatch_uid="common.accounts.sessions")
        user_logged_out.connect(note_end, dispatch_uid="common.accounts.sessions")
        user_logged_out.connect(forget_people, dispatch_uid="common.accounts.person")
