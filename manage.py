#!/usr/bin/env python
"""Run a management command of the imaging cloud: ``python manage.py COMMAND``."""

import os
import sys
from pathlib import Path

# The two source roots (docs/adr/0001): so that a checkout works without an install.
ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]


def main() -> None:
    try:
        if sys.argv[1:2] in (["up"], ["down"]):
            # Without Django: they make the environment that its settings need.
            from config.embedded.cli import main as run_embedded

            sys.exit(run_embedded(sys.argv[1:]))
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        from django.core.management import execute_from_command_line
    except ModuleNotFoundError as error:
        sys.exit(f"{error}: run 'make install' first, then use .venv/bin/python manage.py")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
