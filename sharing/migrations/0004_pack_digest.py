from django.db import migrations


class Migration(migrations.Migration):
    """The digest of a pack is no longer the SHA-256 of its file (common.archive.digest)."""

    dependencies = [("sharing", "0003_settled_cases")]

    operations = [
        migrations.RenameField(
            model_name="seriesrevision", old_name="pack_sha256", new_name="pack_digest"
        ),
    ]
