"""How far the chain has gone out to an audit record repository."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_search_and_checks")]

    operations = [
        migrations.CreateModel(
            name="SentPosition",
            fields=[
                ("target", models.CharField(max_length=300, primary_key=True, serialize=False)),
                ("sequence", models.BigIntegerField(default=0)),
            ],
        ),
    ]
