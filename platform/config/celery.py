"""The Celery application: ``celery -A config worker`` and ``celery -A config beat``."""

from __future__ import annotations

import os

from celery import Celery
from kombu import Queue

from config.queues import DEFAULT, QUEUES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("imaging")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.task_default_queue = DEFAULT
app.conf.task_queues = [Queue(name) for name in QUEUES]
# A queue that no worker serves would swallow its work: an undeclared one is an error at enqueue.
app.conf.task_create_missing_queues = False
# Redis takes from several queues in turn by default; here the order in which a worker names them.
app.conf.broker_transport_options = {
    **app.conf.broker_transport_options,
    "queue_order_strategy": "priority",
}
# A worker told to stop gives its long tasks that long, then returns their messages.
app.conf.worker_soft_shutdown_timeout = 5
app.autodiscover_tasks()
