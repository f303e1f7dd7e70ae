
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('sharing', '0017_access_findings'),
    ]

    operations = [
        migrations.AddField(
            model_name='quarantined',
            name='resolution',
            field=models.CharField(blank=True, choices=[('kept', 'Ours was kept'), ('taken', 'Theirs was taken in as a new revision'), ('rejected', 'Not taken in')], db_default='', default='', max_length=8),
        ),
    ]
