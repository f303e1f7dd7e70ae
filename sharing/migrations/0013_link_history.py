"""Links that were decided together name the first; the history is only ever added to."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

TABLE = "sharing_linkevent"
PROTECT = f"""
CREATE FUNCTION sharing_refuse_change_of_links() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER {TABLE}_append_only BEFORE UPDATE OR DELETE ON {TABLE}
    FOR EACH ROW EXECUTE FUNCTION sharing_refuse_change_of_links();
CREATE TRIGGER {TABLE}_append_only_truncate BEFORE TRUNCATE ON {TABLE}
    FOR EACH STATEMENT EXECUTE FUNCTION sharing_refuse_change_of_links();
"""
RELEASE = f"""
DROP TRIGGER {TABLE}_append_only_truncate ON {TABLE};
DROP TRIGGER {TABLE}_append_only ON {TABLE};
DROP FUNCTION sharing_refuse_change_of_links();
"""


class Migration(migrations.Migration):
    dependencies = [("sharing", "0012_reports")]

    operations = [
        migrations.AddField(
            model_name="localpatient",
            name="compared_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="linkevent",
            name="leader",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="followers",
                to="sharing.linkevent",
            ),
        ),
        migrations.AddIndex(
            model_name="localpatient",
            index=models.Index(
                fields=["id"], condition=Q(compared_at=None), name="patient_to_be_compared"
            ),
        ),
        migrations.AddIndex(
            model_name="linkevent",
            index=models.Index(fields=["from_person"], name="link_from_person"),
        ),
        migrations.AddIndex(
            model_name="linkevent",
            index=models.Index(fields=["to_person"], name="link_to_person"),
        ),
        migrations.RunSQL(PROTECT, RELEASE),
    ]
