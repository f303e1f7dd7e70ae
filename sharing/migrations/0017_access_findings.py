"""Unusual access: findings to be reviewed, and how far the search for them has read."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('sharing', '0016_film_slips'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ReviewPosition',
            fields=[
                ('name', models.CharField(max_length=16, primary_key=True, serialize=False)),
                ('sequence', models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name='AccessFinding',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('emergency', 'Emergency access'), ('many-patients', 'Many patients in a short time'), ('family-name', 'Own family name'), ('staff-record', 'Record of somebody who works there'), ('odd-hours', 'At an unusual hour')], max_length=16)),
                ('subject', models.CharField(max_length=100)),
                ('actor_institution_code', models.CharField(blank=True, default='', max_length=64)),
                ('actor_institution_name', models.CharField(blank=True, default='', max_length=200)),
                ('person_key', models.CharField(blank=True, default='', max_length=64)),
                ('institution_ids', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, size=None)),
                ('first_at', models.DateTimeField()),
                ('last_at', models.DateTimeField()),
                ('count', models.PositiveIntegerField(default=1)),
                ('bases', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), default=list, size=None)),
                ('found_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('state', models.CharField(choices=[('open', 'To be reviewed'), ('justified', 'Justified'), ('abuse', 'Not justified')], default='open', max_length=10)),
                ('reviewed_at', models.DateTimeField(null=True)),
                ('note', models.CharField(blank=True, default='', max_length=500)),
                ('actor', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('emergency', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='finding', to='sharing.emergencyaccess')),
                ('reviewed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(models.OrderBy(models.F('last_at'), descending=True), models.OrderBy(models.F('id'), descending=True), name='finding_newest'), models.Index(condition=models.Q(('state', 'open')), fields=['actor_institution_code'], name='finding_open')],
                'constraints': [models.UniqueConstraint(fields=('kind', 'subject'), name='finding_once_per_subject'), models.CheckConstraint(condition=models.Q(models.Q(('reviewed_at__isnull', True), ('reviewed_by__isnull', True), ('state', 'open')), models.Q(('reviewed_at__isnull', False), ('reviewed_by__isnull', False), models.Q(('state', 'open'), _negated=True)), _connector='OR'), name='finding_is_decided_by_somebody')],
            },
        ),
    ]
