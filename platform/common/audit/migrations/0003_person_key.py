"""Entries carry the pseudonym of the patient they are about; none in those that are there already."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("audit", "0002_append_only")]

    operations = [
        migrations.AddField(
            "auditentry",
            "person_key",
            models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
        AddIndexConcurrently(
            "auditentry",
            models.Index(
                fields=["person_key", "-at"],
                condition=~models.Q(person_key=""),
                name="audit_by_person",
            ),
        ),
    ]
