import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('hospitals', '0001_initial'),
        ('sharing', '0008_already_shared'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Person',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=16, unique=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.CreateModel(
            name='LocalPatient',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('issuer', models.CharField(blank=True, default='', max_length=128)),
                ('number', models.CharField(blank=True, default='', max_length=128)),
                ('alone', models.CharField(blank=True, default='', max_length=64)),
                ('name', models.CharField(blank=True, default='', max_length=400)),
                ('name_grams', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), default=list, size=None)),
                ('birth_date', models.DateField(null=True)),
                ('sex', models.CharField(blank=True, default='', max_length=16)),
                ('resident_id', models.BinaryField(null=True)),
                ('resident_id_hash', models.BinaryField(max_length=32, null=True)),
                ('insurance_code', models.BinaryField(null=True)),
                ('insurance_code_hash', models.BinaryField(max_length=32, null=True)),
                ('document_type', models.CharField(blank=True, choices=[('passport', 'Passport'), ('hmt-permit', 'Permit of Hong Kong, Macau or Taiwan residents'), ('birth', 'Birth certificate'), ('other', 'Other document')], default='', max_length=16)),
                ('document', models.BinaryField(null=True)),
                ('document_hash', models.BinaryField(max_length=32, null=True)),
                ('card_hash', models.BinaryField(max_length=32, null=True)),
                ('phone', models.BinaryField(null=True)),
                ('phone_hash', models.BinaryField(max_length=32, null=True)),
                ('is_staff', models.BooleanField(db_default=False, default=False)),
                ('registered_at', models.DateTimeField(null=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='hospitals.institution')),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='patients', to='sharing.person')),
            ],
        ),
        migrations.CreateModel(
            name='LinkCandidate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('score', models.PositiveSmallIntegerField()),
                ('grounds', models.JSONField(default=list)),
                ('state', models.CharField(choices=[('open', 'To be reviewed'), ('linked', 'Linked'), ('rejected', 'Not the same person')], default='open', max_length=8)),
                ('found_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('decided_at', models.DateTimeField(null=True)),
                ('reason', models.CharField(blank=True, default='', max_length=500)),
                ('decided_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('first', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='sharing.localpatient')),
                ('second', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='sharing.localpatient')),
            ],
        ),
        migrations.CreateModel(
            name='Encounter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('visit_number', models.CharField(max_length=64)),
                ('kind', models.CharField(choices=[('outpatient', 'Outpatient'), ('inpatient', 'Inpatient'), ('emergency', 'Emergency')], max_length=12)),
                ('source', models.CharField(choices=[('his', 'Told by the HIS'), ('desk', 'Registered at the desk')], max_length=4)),
                ('department', models.CharField(blank=True, default='', max_length=100)),
                ('attending', models.CharField(blank=True, default='', max_length=100)),
                ('opened_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('closed_at', models.DateTimeField(null=True)),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='hospitals.institution')),
                ('registered_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('patient', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='encounters', to='sharing.localpatient')),
            ],
        ),
        migrations.AddField(
            model_name='study',
            name='local_patient',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='studies', to='sharing.localpatient'),
        ),
        migrations.CreateModel(
            name='LinkEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('kind', models.CharField(choices=[('link', 'Linked'), ('unlink', 'Unlinked')], max_length=8)),
                ('ground', models.CharField(choices=[('resident-id', 'Same resident ID'), ('insurance-code', 'Same insurance person code'), ('document', 'Same document'), ('review', 'Reviewed candidates'), ('correction', 'Correction')], max_length=16)),
                ('reason', models.CharField(blank=True, default='', max_length=500)),
                ('actor', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('undoes', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='undone_by', to='sharing.linkevent')),
                ('patient', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='links', to='sharing.localpatient')),
                ('from_person', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='sharing.person')),
                ('to_person', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='sharing.person')),
            ],
            options={
                'ordering': ['pk'],
            },
        ),
        migrations.CreateModel(
            name='EmergencyAccess',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.TextField()),
                ('started_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('expires_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
                ('reviewed_at', models.DateTimeField(null=True)),
                ('verdict', models.CharField(blank=True, choices=[('justified', 'Justified'), ('abuse', 'Not justified')], default='', max_length=10)),
                ('review_note', models.CharField(blank=True, default='', max_length=500)),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='hospitals.institution')),
                ('reviewed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('patient', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='sharing.localpatient')),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='sharing.person')),
            ],
        ),
        migrations.CreateModel(
            name='Consent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('modalities', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=16), blank=True, default=list, size=None)),
                ('held_by', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), blank=True, default=list, size=None)),
                ('study_instance_uids', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), blank=True, default=list, size=None)),
                ('since', models.DateField(null=True)),
                ('given', models.CharField(choices=[('paper', 'Signed on paper'), ('desk', 'Said at the desk'), ('electronic', 'Given electronically')], max_length=12)),
                ('given_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('expires_at', models.DateTimeField()),
                ('withdrawn_at', models.DateTimeField(null=True)),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='hospitals.institution')),
                ('recorded_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('patient', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='sharing.localpatient')),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='consents', to='sharing.person')),
            ],
        ),
        migrations.AddField(
            model_name='study',
            name='person',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='studies', to='sharing.person'),
        ),
        migrations.AddIndex(
            model_name='linkcandidate',
            index=models.Index(models.OrderBy(models.F('score'), descending=True), models.OrderBy(models.F('id')), condition=models.Q(('state', 'open')), name='candidate_queue'),
        ),
        migrations.AddConstraint(
            model_name='linkcandidate',
            constraint=models.UniqueConstraint(fields=('first', 'second'), name='candidate_once_per_pair'),
        ),
        migrations.AddConstraint(
            model_name='linkcandidate',
            constraint=models.CheckConstraint(condition=models.Q(('first__lt', models.F('second'))), name='candidate_pair_is_in_order'),
        ),
        migrations.AddConstraint(
            model_name='linkcandidate',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('decided_by__isnull', True), ('state', 'open')), models.Q(('decided_at__isnull', False), models.Q(('state', 'open'), _negated=True)), _connector='OR'), name='candidate_is_decided_with_an_instant'),
        ),
        migrations.AddIndex(
            model_name='encounter',
            index=models.Index(condition=models.Q(('closed_at__isnull', True)), fields=['institution', 'expires_at'], name='encounter_open'),
        ),
        migrations.AddIndex(
            model_name='encounter',
            index=models.Index(fields=['patient', '-opened_at'], name='encounter_of_patient'),
        ),
        migrations.AddConstraint(
            model_name='encounter',
            constraint=models.UniqueConstraint(fields=('institution', 'visit_number'), name='encounter_once_per_visit_number'),
        ),
        migrations.AddConstraint(
            model_name='encounter',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('opened_at'))), name='encounter_ends_after_it_begins'),
        ),
        migrations.AddIndex(
            model_name='localpatient',
            index=models.Index(fields=['number'], name='patient_by_number'),
        ),
        migrations.AddIndex(
            model_name='localpatient',
            index=models.Index(fields=['resident_id_hash'], name='patient_by_resident_id'),
        ),
        migrations.AddIndex(
            model_name='localpatient',
            index=models.Index(fields=['insurance_code_hash'], name='patient_by_insurance_code'),
        ),
        migrations.AddIndex(
            model_name='localpatient',
            index=models.Index(fields=['document_hash'], name='patient_by_document'),
        ),
        migrations.AddIndex(
            model_name='localpatient',
            index=models.Index(fields=['card_hash'], name='patient_by_card'),
        ),
        migrations.AddIndex(
            model_name='localpatient',
            index=models.Index(fields=['phone_hash'], name='patient_by_phone'),
        ),
        migrations.AddIndex(
            model_name='localpatient',
            index=models.Index(fields=['birth_date', 'sex'], name='patient_by_birth'),
        ),
        migrations.AddIndex(
            model_name='localpatient',
            index=django.contrib.postgres.indexes.GinIndex(fields=['name_grams'], name='patient_by_name'),
        ),
        migrations.AddConstraint(
            model_name='localpatient',
            constraint=models.UniqueConstraint(fields=('institution', 'issuer', 'number', 'alone'), name='patient_number_once_per_institution_and_issuer'),
        ),
        migrations.AddConstraint(
            model_name='localpatient',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('alone', ''), models.Q(('number', ''), _negated=True)), models.Q(models.Q(('alone', ''), _negated=True), ('number', '')), _connector='OR'), name='patient_has_a_number_or_stands_alone'),
        ),
        migrations.AddIndex(
            model_name='linkevent',
            index=models.Index(fields=['patient', '-at'], name='link_of_patient'),
        ),
        migrations.AddIndex(
            model_name='emergencyaccess',
            index=models.Index(fields=['user', 'expires_at'], name='emergency_in_force'),
        ),
        migrations.AddConstraint(
            model_name='emergencyaccess',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('started_at'))), name='emergency_ends_after_it_begins'),
        ),
        migrations.AddConstraint(
            model_name='emergencyaccess',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='emergency_access_has_a_reason'),
        ),
        migrations.AddConstraint(
            model_name='emergencyaccess',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('reviewed_at__isnull', True), ('verdict', '')), models.Q(('reviewed_at__isnull', False), models.Q(('verdict', ''), _negated=True)), _connector='OR'), name='emergency_review_has_instant_and_verdict'),
        ),
        migrations.AddIndex(
            model_name='consent',
            index=models.Index(condition=models.Q(('withdrawn_at__isnull', True)), fields=['institution', 'expires_at'], name='consent_in_force'),
        ),
        migrations.AddConstraint(
            model_name='consent',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('given_at'))), name='consent_ends_after_it_begins'),
        ),
    ]
