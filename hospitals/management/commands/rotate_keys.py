"""``manage.py rotate_keys``: after a new key was put in front of FIELD_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from common import privacy
from common.accounts import factors
from hospitals import services


class Command(BaseCommand):
    help = "Encrypt every stored secret with the first of FIELD_KEYS, and say how many."

    def handle(self, *_args: Any, **_options: Any) -> None:
        done = services.rotate_secrets(actor="manage.py rotate_keys")
        generators = factors.rotate_secrets()
        self.stdout.write(
            f"{done.renewed} secrets were encrypted anew; {done.current} had the newest key already."
        )
        if generators:
            self.stdout.write(f"{generators} keys of second factors were encrypted anew.")
        for name, count in privacy.rotate_announced().items():
            self.stdout.write(f"{name}: {count} values were encrypted anew.")
        if done.unreadable:
            raise CommandError(
                "No key of FIELD_KEYS opens the secret of: "
                f"{', '.join(done.unreadable)}. Put its key back, or set its endpoint again."
            )
        self.stdout.write("Only the first of FIELD_KEYS is in use now.")
