"""One more kind of unusual access; nothing in the database changes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("sharing", "0020_slips_outlive_deletions"),
    ]

    operations = [
        migrations.AlterField(
            model_name="accessfinding",
            name="kind",
            field=models.CharField(
                choices=[
                    ("emergency", "Emergency access"),
                    ("many-patients", "Many patients in a short time"),
                    ("family-name", "Own family name"),
                    ("staff-record", "Record of somebody who works there"),
                    ("odd-hours", "At an unusual hour"),
                    ("own-ground", "By an encounter or a consent that the reader registered"),
                ],
                max_length=16,
            ),
        ),
    ]
