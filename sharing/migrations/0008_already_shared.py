from django.db import migrations

# By itself: readers would wait for the whole index to be counted behind the locks of the columns' migration.
ALREADY_SHARED = """
UPDATE sharing_study SET shared = true WHERE NOT shared AND study_instance_uid IN (
    SELECT study_instance_uid FROM sharing_study GROUP BY study_instance_uid HAVING count(*) > 1)
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("sharing", "0007_search_indexes")]

    operations = [migrations.RunSQL(ALREADY_SHARED, migrations.RunSQL.noop, elidable=True)]
