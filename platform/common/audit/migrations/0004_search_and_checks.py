"""Indexes for the page of the data office, and what runs over the chain found."""

from __future__ import annotations

import django.utils.timezone
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


def _index(name: str, *fields: str, condition: models.Q | None = None) -> AddIndexConcurrently:
    return AddIndexConcurrently(
        "auditentry", models.Index(fields=[*fields, "-at"], name=name, condition=condition)
    )


class Migration(migrations.Migration):
    atomic = False  # indexes are made while others write
    dependencies = [("audit", "0003_person_key")]

    operations = [
        _index("audit_by_action", "action"),
        _index("audit_by_institution", "institution_id"),
        _index("audit_by_workplace", "actor_institution_code"),
        _index("audit_by_fault", "result", condition=~models.Q(result="success")),
        _index(
            "audit_by_basis", "basis", condition=~models.Q(basis__in=["", "own-institution"])
        ),
        migrations.CreateModel(
            name="ChainCheck",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ("links", models.BigIntegerField()),
                ("anchors", models.PositiveIntegerField()),
                ("stored_anchors", models.PositiveIntegerField()),
                ("head", models.BinaryField(max_length=32)),
                ("fault", models.CharField(blank=True, default="", max_length=300)),
                ("duration_ms", models.PositiveBigIntegerField(default=0)),
            ],
            options={"ordering": ["-at"]},
        ),
        migrations.RunSQL(
            """
            CREATE TRIGGER audit_chaincheck_append_only BEFORE UPDATE OR DELETE ON audit_chaincheck
                FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
            CREATE TRIGGER audit_chaincheck_append_only_truncate BEFORE TRUNCATE ON audit_chaincheck
                FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();
            """,
            """
            DROP TRIGGER audit_chaincheck_append_only_truncate ON audit_chaincheck;
            DROP TRIGGER audit_chaincheck_append_only ON audit_chaincheck;
            """,
        ),
    ]
