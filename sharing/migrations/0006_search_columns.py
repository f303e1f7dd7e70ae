from django.db import migrations, models

# Parts of a text under which it is found by a wildcard search: every pair of characters, every three ASCII ones
# (numbers are told apart by them), and each character that is not ASCII alone (Han). Lower case.
GRAMS = """
CREATE FUNCTION sharing_grams(value text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    plain text := lower(value);
    grams text[] := '{}';
    gram text;
BEGIN
    FOR place IN 1..length(plain) LOOP
        gram := substr(plain, place, 1);
        IF octet_length(gram) > 1 THEN
            grams := grams || gram;
        END IF;
        IF place < length(plain) THEN
            grams := grams || substr(plain, place, 2);
        END IF;
        gram := substr(plain, place, 3);
        IF octet_length(gram) = 3 AND length(gram) = 3 THEN
            grams := grams || gram;
        END IF;
    END LOOP;
    RETURN grams;
END $$
"""

# Two institutions that index the same UID at the same moment do not see each other's row: the lock makes the
# second wait for the first.
SHARED = """
CREATE FUNCTION sharing_study_is_shared() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.study_instance_uid, 20006));
    UPDATE sharing_study SET shared = true
    WHERE study_instance_uid = NEW.study_instance_uid AND institution_id <> NEW.institution_id AND NOT shared;
    NEW.shared := EXISTS (
        SELECT FROM sharing_study
        WHERE study_instance_uid = NEW.study_instance_uid AND institution_id <> NEW.institution_id
    );
    RETURN NEW;
END $$
"""
# A row that was read before and is written back whole does not take it away again.
STAYS_SHARED = """
CREATE FUNCTION sharing_study_stays_shared() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.shared := true;
    RETURN NEW;
END $$
"""
TRIGGERS = """
CREATE TRIGGER study_is_shared BEFORE INSERT ON sharing_study
FOR EACH ROW EXECUTE FUNCTION sharing_study_is_shared();
CREATE TRIGGER study_stays_shared BEFORE UPDATE ON sharing_study
FOR EACH ROW WHEN (OLD.shared AND NOT NEW.shared) EXECUTE FUNCTION sharing_study_stays_shared()
"""


class Migration(migrations.Migration):
    dependencies = [("sharing", "0005_received_and_deletions")]

    operations = [
        migrations.AddField(
            model_name="series",
            name="more",
            field=models.JSONField(
                blank=True, db_default=models.Value({}, models.JSONField()), default=dict
            ),
        ),
        migrations.AddField(
            model_name="series",
            name="performed_date",
            field=models.DateField(null=True),
        ),
        migrations.AddField(
            model_name="series",
            name="performed_time",
            field=models.CharField(blank=True, db_default="", default="", max_length=16),
        ),
        migrations.AddField(
            model_name="series",
            name="request_attributes",
            field=models.JSONField(
                blank=True, db_default=models.Value([], models.JSONField()), default=list
            ),
        ),
        migrations.AddField(
            model_name="study",
            name="more",
            field=models.JSONField(
                blank=True, db_default=models.Value({}, models.JSONField()), default=dict
            ),
        ),
        migrations.AddField(
            model_name="study",
            name="shared",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.RunSQL(GRAMS, "DROP FUNCTION sharing_grams(text)"),
        migrations.RunSQL(SHARED, "DROP FUNCTION sharing_study_is_shared() CASCADE"),
        migrations.RunSQL(STAYS_SHARED, "DROP FUNCTION sharing_study_stays_shared() CASCADE"),
        migrations.RunSQL(TRIGGERS, migrations.RunSQL.noop),
    ]
