import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """HL7 messages and their senders, orders, launches by order-entry systems."""

    dependencies = [
        ('hospitals', '0001_initial'),
        ('sharing', '0014_portal'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='LaunchSystem',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key_id', models.CharField(max_length=32, unique=True)),
                ('secret', models.BinaryField(null=True)),
                ('origins', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), blank=True, default=list, size=None)),
                ('term_minutes', models.PositiveSmallIntegerField(default=30)),
                ('active', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('account', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='hospitals.institution')),
            ],
            options={
                'ordering': ['pk'],
            },
        ),
        migrations.CreateModel(
            name='Launch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('purpose', models.CharField(max_length=200)),
                ('nonce', models.CharField(blank=True, default='', max_length=64)),
                ('code', models.BinaryField(max_length=32, null=True, unique=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('open_before', models.DateTimeField()),
                ('opened_at', models.DateTimeField(null=True)),
                ('session', models.BinaryField(max_length=32, null=True, unique=True)),
                ('expires_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
                ('encounter', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='sharing.encounter')),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='hospitals.institution')),
                ('patient', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='sharing.localpatient')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='launches', to='sharing.launchsystem')),
            ],
        ),
        migrations.CreateModel(
            name='MessageSender',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('application', models.CharField(max_length=180)),
                ('facility', models.CharField(blank=True, default='', max_length=180)),
                ('networks', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=43), blank=True, default=list, size=None)),
                ('certificate', models.CharField(blank=True, default='', max_length=64)),
                ('character_set', models.CharField(blank=True, default='', max_length=32)),
                ('issuer', models.CharField(blank=True, default='', max_length=128)),
                ('active', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='hospitals.institution')),
            ],
            options={
                'ordering': ['pk'],
            },
        ),
        migrations.CreateModel(
            name='HospitalMessage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=16)),
                ('event', models.CharField(blank=True, default='', max_length=16)),
                ('control_id', models.CharField(max_length=199)),
                ('digest', models.BinaryField(max_length=32)),
                ('body', models.BinaryField()),
                ('size_bytes', models.PositiveIntegerField()),
                ('received_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('state', models.CharField(choices=[('received', 'Received'), ('done', 'Done'), ('failed', 'Failed'), ('ignored', 'Not needed')], default='received', max_length=8)),
                ('settled_at', models.DateTimeField(null=True)),
                ('tries', models.PositiveSmallIntegerField(default=0)),
                ('outcome', models.CharField(blank=True, default='', max_length=64)),
                ('error_code', models.CharField(blank=True, default='', max_length=64)),
                ('condition', models.CharField(blank=True, default='', max_length=8)),
                ('location', models.CharField(blank=True, default='', max_length=16)),
                ('error_text', models.CharField(blank=True, default='', max_length=300)),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='hospitals.institution')),
                ('sender', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='messages', to='sharing.messagesender')),
            ],
            options={
                'ordering': ['-pk'],
            },
        ),
        migrations.CreateModel(
            name='Order',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('placer_number', models.CharField(max_length=75)),
                ('filler_number', models.CharField(blank=True, default='', max_length=75)),
                ('accession_number', models.CharField(blank=True, default='', max_length=64)),
                ('study_instance_uid', models.CharField(blank=True, default='', max_length=64)),
                ('procedure_code', models.CharField(blank=True, default='', max_length=64)),
                ('procedure_name', models.CharField(blank=True, default='', max_length=200)),
                ('modality', models.CharField(blank=True, default='', max_length=16)),
                ('reason', models.CharField(blank=True, default='', max_length=400)),
                ('priority', models.CharField(blank=True, default='', max_length=16)),
                ('ordered_by', models.CharField(blank=True, default='', max_length=100)),
                ('ordered_at', models.DateTimeField(null=True)),
                ('state', models.CharField(choices=[('ordered', 'Ordered'), ('cancelled', 'Cancelled'), ('completed', 'Completed')], default='ordered', max_length=10)),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('encounter', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='orders', to='sharing.encounter')),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='hospitals.institution')),
                ('patient', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='orders', to='sharing.localpatient')),
            ],
        ),
        migrations.AddConstraint(
            model_name='launchsystem',
            constraint=models.CheckConstraint(condition=models.Q(('term_minutes__gte', 1), ('term_minutes__lte', 120)), name='launch_term_is_short'),
        ),
        migrations.AddIndex(
            model_name='launch',
            index=models.Index(fields=['institution', '-id'], name='launch_newest'),
        ),
        migrations.AddConstraint(
            model_name='launch',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('created_at'))), name='launch_ends_after_it_begins'),
        ),
        migrations.AddConstraint(
            model_name='launch',
            constraint=models.UniqueConstraint(condition=models.Q(('nonce', ''), _negated=True), fields=('system', 'nonce'), name='launch_nonce_is_used_once'),
        ),
        migrations.AddConstraint(
            model_name='launch',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('opened_at__isnull', True), ('session__isnull', True)), models.Q(('opened_at__isnull', False), ('session__isnull', False)), _connector='OR'), name='launch_opened_has_its_session'),
        ),
        migrations.AddIndex(
            model_name='messagesender',
            index=models.Index(fields=['application', 'facility'], name='message_sender_by_name'),
        ),
        migrations.AddConstraint(
            model_name='messagesender',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('certificate', ''), _negated=True), models.Q(('networks', []), _negated=True), _connector='OR'), name='message_sender_is_known_by_address_or_certificate'),
        ),
        migrations.AddConstraint(
            model_name='messagesender',
            constraint=models.UniqueConstraint(condition=models.Q(('active', True)), fields=('institution', 'application', 'facility'), name='message_sender_once_per_institution'),
        ),
        migrations.AddIndex(
            model_name='hospitalmessage',
            index=models.Index(fields=['institution', '-id'], name='message_newest'),
        ),
        migrations.AddIndex(
            model_name='hospitalmessage',
            index=models.Index(condition=models.Q(('state__in', ['received', 'failed'])), fields=['state', 'institution', '-id'], name='message_unsettled'),
        ),
        migrations.AddConstraint(
            model_name='hospitalmessage',
            constraint=models.UniqueConstraint(fields=('sender', 'control_id', 'digest'), name='hospital_message_once'),
        ),
        migrations.AddConstraint(
            model_name='hospitalmessage',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'failed'), models.Q(('error_code', ''), _negated=True)), models.Q(models.Q(('state', 'failed'), _negated=True), ('error_code', '')), _connector='OR'), name='hospital_message_that_failed_says_why'),
        ),
        migrations.AddConstraint(
            model_name='hospitalmessage',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('settled_at__isnull', True), ('state', 'received')), models.Q(models.Q(('state', 'received'), _negated=True), ('settled_at__isnull', False)), _connector='OR'), name='hospital_message_settled_has_instant'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('accession_number', ''), _negated=True), fields=['institution', 'accession_number'], name='order_by_accession_number'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('filler_number', ''), _negated=True), fields=['institution', 'filler_number'], name='order_by_filler_number'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('study_instance_uid', ''), _negated=True), fields=['institution', 'study_instance_uid'], name='order_by_study'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(fields=['patient', '-id'], name='order_of_patient'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.UniqueConstraint(fields=('institution', 'placer_number'), name='order_once_per_institution'),
        ),
    ]
