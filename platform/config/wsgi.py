"""WSGI entry point: ``gunicorn config.wsgi:application``."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from common.proxies import TrustedProxies

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# A question that nobody waits for any longer must not hold the database: of web processes only, since
# migrations and the work in the background have statements that rightly take longer.
# Compiling a search costs more than the search: an index of millions makes the planner think otherwise.
os.environ.setdefault("PGOPTIONS", "-c statement_timeout=30s -c jit=off")

application = TrustedProxies(get_wsgi_application(), settings.TRUSTED_PROXIES)
