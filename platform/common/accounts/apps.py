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
        from django.contrib.auth.signals import user_logged_in

        from common.accounts.idle import note_login

        user_logged_in.connect(note_login, dispatch_uid="common.accounts.idle")
