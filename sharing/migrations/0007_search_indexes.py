import django.contrib.postgres.indexes
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

# The planner chooses between the newest studies and a word's own by how frequent it takes the word to be.
STATISTICS = """
ALTER TABLE sharing_study ALTER COLUMN name_grams SET STATISTICS 1000;
ALTER INDEX study_by_text ALTER COLUMN 1 SET STATISTICS 500;
ALTER INDEX study_by_text ALTER COLUMN 2 SET STATISTICS 500;
ALTER INDEX study_by_text ALTER COLUMN 3 SET STATISTICS 500;
ALTER INDEX study_by_text ALTER COLUMN 4 SET STATISTICS 500;
ALTER INDEX study_by_text ALTER COLUMN 5 SET STATISTICS 500
"""


class Migration(migrations.Migration):
    atomic = False  # indexes are made while others write
    dependencies = [("sharing", "0006_search_columns")]

    operations = [
        AddIndexConcurrently(
            model_name="series",
            index=models.Index(fields=["modality"], name="series_by_modality"),
        ),
        AddIndexConcurrently(
            model_name="series",
            index=models.Index(fields=["performed_date"], name="series_by_performed_date"),
        ),
        AddIndexConcurrently(
            model_name="series",
            index=django.contrib.postgres.indexes.GinIndex(
                condition=models.Q(("request_attributes", []), _negated=True),
                fields=["request_attributes"],
                name="series_by_request",
                opclasses=["jsonb_path_ops"],
            ),
        ),
        AddIndexConcurrently(
            model_name="series",
            index=django.contrib.postgres.indexes.GinIndex(
                models.Func("series_description", function="sharing_grams"), name="series_by_text"
            ),
        ),
        AddIndexConcurrently(
            model_name="study",
            index=models.Index(
                fields=["patient_id"], name="study_by_patient_id", opclasses=["varchar_pattern_ops"]
            ),
        ),
        AddIndexConcurrently(
            model_name="study",
            index=models.Index(
                fields=["accession_number"],
                name="study_by_accession_no",
                opclasses=["varchar_pattern_ops"],
            ),
        ),
        AddIndexConcurrently(
            model_name="study",
            index=models.Index(
                fields=["dicom_study_id"],
                name="study_by_study_id",
                opclasses=["varchar_pattern_ops"],
            ),
        ),
        AddIndexConcurrently(
            model_name="study",
            index=django.contrib.postgres.indexes.GinIndex(
                models.Func("patient_name", function="sharing_grams"),
                models.Func("patient_id", function="sharing_grams"),
                models.Func("accession_number", function="sharing_grams"),
                models.Func("study_description", function="sharing_grams"),
                models.Func("referring_physician_name", function="sharing_grams"),
                models.F("modalities"),
                name="study_by_text",
            ),
        ),
        RemoveIndexConcurrently(model_name="study", name="study_by_patient"),
        RemoveIndexConcurrently(model_name="study", name="study_by_accession"),
        migrations.RunSQL(STATISTICS, migrations.RunSQL.noop),
    ]
