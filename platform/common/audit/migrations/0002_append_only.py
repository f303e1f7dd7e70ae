"""Entries, links and anchors are only ever added: the database itself refuses the rest."""

from django.db import migrations

TABLES = ("audit_auditentry", "audit_chainlink", "audit_dailyanchor")

REFUSE = """
CREATE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;
"""

QUEUE = """
CREATE FUNCTION audit_queue_for_chain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_pendingentry (entry_id) VALUES (NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER audit_auditentry_queued AFTER INSERT ON audit_auditentry
    FOR EACH ROW EXECUTE FUNCTION audit_queue_for_chain();
"""


def _protect(table: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"""
        CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
        CREATE TRIGGER {table}_append_only_truncate BEFORE TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();
        """,
        f"""
        DROP TRIGGER {table}_append_only_truncate ON {table};
        DROP TRIGGER {table}_append_only ON {table};
        """,
    )


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [
        migrations.RunSQL(REFUSE, "DROP FUNCTION audit_refuse_change();"),
        *[_protect(table) for table in TABLES],
        migrations.RunSQL(
            QUEUE,
            """
            DROP TRIGGER audit_auditentry_queued ON audit_auditentry;
            DROP FUNCTION audit_queue_for_chain();
            """,
        ),
    ]
