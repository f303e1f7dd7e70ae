import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

# What of a report is searched: full-width and compatibility forms as the plain ones, lower case.
TEXT = """
CREATE FUNCTION sharing_report_text(title text, findings text, impression text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT lower(normalize(title || E'\\n' || impression || E'\\n' || findings, NFKC))
$$
"""

# A version is never changed and never goes; that it is no longer the current one may be written, once.
KEPT = """
CREATE FUNCTION sharing_refuse_change_of_report() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.is_current AND NOT NEW.is_current
            AND to_jsonb(OLD) - 'is_current' = to_jsonb(NEW) - 'is_current' THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER sharing_reportversion_append_only BEFORE UPDATE OR DELETE ON sharing_reportversion
    FOR EACH ROW EXECUTE FUNCTION sharing_refuse_change_of_report();
CREATE TRIGGER sharing_reportversion_append_only_truncate BEFORE TRUNCATE ON sharing_reportversion
    FOR EACH STATEMENT EXECUTE FUNCTION sharing_refuse_change_of_report()
"""

# Reports that came before their study are joined by whoever writes its row: a discovery, a sender, a rebuild, the
# undoing of a deletion. By UID, else by an accession number that no other study of the institution has; never to
# another patient's.
JOINED = """
CREATE FUNCTION sharing_join_reports() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sharing_report SET study_id = NEW.id
    WHERE study_id IS NULL AND institution_id = NEW.institution_id
        AND study_instance_uid = NEW.study_instance_uid
        AND (patient_number = '' OR NEW.patient_id = '' OR patient_number = NEW.patient_id);
    IF NEW.accession_number <> '' THEN
        UPDATE sharing_report SET study_id = NEW.id
        WHERE study_id IS NULL AND institution_id = NEW.institution_id
            AND accession_number = NEW.accession_number AND study_instance_uid = ''
            AND (patient_number = '' OR NEW.patient_id = '' OR patient_number = NEW.patient_id)
            AND NOT EXISTS (
                SELECT FROM sharing_study
                WHERE institution_id = NEW.institution_id AND accession_number = NEW.accession_number
                    AND id <> NEW.id
            );
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER study_joins_reports AFTER INSERT ON sharing_study
    FOR EACH ROW EXECUTE FUNCTION sharing_join_reports();
CREATE TRIGGER study_joins_reports_later AFTER UPDATE OF accession_number, patient_id ON sharing_study
    FOR EACH ROW WHEN (
        OLD.accession_number IS DISTINCT FROM NEW.accession_number OR OLD.patient_id IS DISTINCT FROM NEW.patient_id
    ) EXECUTE FUNCTION sharing_join_reports()
"""


class Migration(migrations.Migration):
    dependencies = [
        ("hospitals", "0001_initial"),
        ("sharing", "0011_consultations"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL(TEXT, "DROP FUNCTION sharing_report_text(text, text, text)"),
        migrations.CreateModel(
            name="Report",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.CharField(max_length=128)),
                ("study_instance_uid", models.CharField(blank=True, default="", max_length=64)),
                ("accession_number", models.CharField(blank=True, default="", max_length=64)),
                ("patient_number", models.CharField(blank=True, default="", max_length=128)),
                ("received_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.CreateModel(
            name="ReportVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("is_current", models.BooleanField()),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("preliminary", "Preliminary"),
                            ("final", "Final"),
                            ("amended", "Amended"),
                            ("cancelled", "Cancelled"),
                            ("entered-in-error", "Entered in error"),
                        ],
                        max_length=16,
                    ),
                ),
                ("title", models.CharField(blank=True, default="", max_length=256)),
                ("findings", models.TextField(blank=True, default="")),
                ("impression", models.TextField(blank=True, default="")),
                ("author", models.CharField(blank=True, default="", max_length=400)),
                ("verifier", models.CharField(blank=True, default="", max_length=400)),
                ("reported_at", models.DateTimeField()),
                ("verified_at", models.DateTimeField(null=True)),
                ("sender_version", models.PositiveIntegerField(null=True)),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("rest", "REST"),
                            ("fhir", "FHIR"),
                            ("hl7", "HL7 v2"),
                            ("sr", "Structured report of the archive"),
                            ("pdf", "PDF of the archive"),
                            ("typed", "Typed here"),
                        ],
                        max_length=8,
                    ),
                ),
                ("received_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("digest", models.BinaryField(max_length=32)),
                ("document_series_uid", models.CharField(blank=True, default="", max_length=64)),
                ("document_instance_uid", models.CharField(blank=True, default="", max_length=64)),
                ("document_type", models.CharField(blank=True, default="", max_length=64)),
            ],
            options={
                "ordering": ["report", "number"],
            },
        ),
        migrations.AddField(
            model_name="report",
            name="institution",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="hospitals.institution",
            ),
        ),
        migrations.AddField(
            model_name="report",
            name="study",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="reports",
                to="sharing.study",
            ),
        ),
        migrations.AddField(
            model_name="reportversion",
            name="report",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="versions",
                to="sharing.report",
            ),
        ),
        migrations.AddField(
            model_name="reportversion",
            name="institution",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="hospitals.institution",
            ),
        ),
        migrations.AddField(
            model_name="reportversion",
            name="sent_by",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddIndex(
            model_name="report",
            index=models.Index(
                condition=models.Q(("study__isnull", True)),
                fields=["institution", "study_instance_uid"],
                name="report_waits_for_uid",
            ),
        ),
        migrations.AddIndex(
            model_name="report",
            index=models.Index(
                condition=models.Q(("study__isnull", True)),
                fields=["institution", "accession_number"],
                name="report_waits_for_accession",
            ),
        ),
        migrations.AddConstraint(
            model_name="report",
            constraint=models.UniqueConstraint(
                fields=("institution", "number"), name="report_number_once_per_institution"
            ),
        ),
        migrations.AddConstraint(
            model_name="report",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("study_instance_uid", ""), _negated=True),
                    models.Q(("accession_number", ""), _negated=True),
                    _connector="OR",
                ),
                name="report_names_its_study",
            ),
        ),
        migrations.AddIndex(
            model_name="reportversion",
            index=models.Index(
                models.F("institution"),
                models.OrderBy(models.F("reported_at"), descending=True),
                models.OrderBy(models.F("id"), descending=True),
                condition=models.Q(("is_current", True)),
                name="report_newest_of_institution",
            ),
        ),
        migrations.AddIndex(
            model_name="reportversion",
            index=django.contrib.postgres.indexes.GinIndex(
                models.Func(
                    models.Func("title", "findings", "impression", function="sharing_report_text"),
                    function="sharing_grams",
                ),
                condition=models.Q(("is_current", True)),
                name="report_by_text",
            ),
        ),
        migrations.AddConstraint(
            model_name="reportversion",
            constraint=models.UniqueConstraint(
                fields=("report", "number"), name="report_version_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="reportversion",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_current", True)),
                fields=("report",),
                name="report_has_one_current",
            ),
        ),
        migrations.RunSQL(KEPT, "DROP FUNCTION sharing_refuse_change_of_report() CASCADE"),
        migrations.RunSQL(JOINED, "DROP FUNCTION sharing_join_reports() CASCADE"),
    ]
