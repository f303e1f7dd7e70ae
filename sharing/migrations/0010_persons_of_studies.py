from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # indexes are made while others write
    dependencies = [("sharing", "0009_persons_and_access")]

    operations = [
        AddIndexConcurrently(
            model_name='study',
            index=models.Index(fields=['local_patient'], name='study_by_local_patient'),
        ),
        AddIndexConcurrently(
            model_name='study',
            index=models.Index(models.F('person'), models.OrderBy(models.F('study_date'), descending=True, nulls_last=True), models.OrderBy(models.F('id'), descending=True), name='study_newest_of_person'),
        ),
    ]
