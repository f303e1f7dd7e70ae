"""Remote consultations: tables, and triggers that keep what was said and signed."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

REFUSE = """
CREATE FUNCTION sharing_refuse_consultation_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;
"""


def _protect(table: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"""
        CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION sharing_refuse_consultation_change();
        CREATE TRIGGER {table}_append_only_truncate BEFORE TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION sharing_refuse_consultation_change();
        """,
        f"""
        DROP TRIGGER {table}_append_only_truncate ON {table};
        DROP TRIGGER {table}_append_only ON {table};
        """,
    )


class Migration(migrations.Migration):

    dependencies = [
        ('hospitals', '0003_departments'),
        ('sharing', '0010_persons_of_studies'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Consultation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('urgency', models.CharField(choices=[('emergency', 'Emergency'), ('urgent', 'Urgent'), ('routine', 'Routine')], default='routine', max_length=10)),
                ('question', models.TextField()),
                ('summary', models.TextField(blank=True, default='')),
                ('state', models.CharField(choices=[('asked', 'Waiting for an answer'), ('accepted', 'In consultation'), ('answered', 'Opinion signed'), ('closed', 'Closed'), ('declined', 'Declined'), ('withdrawn', 'Withdrawn'), ('expired', 'Expired')], default='asked', max_length=10)),
                ('opens_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('expires_at', models.DateTimeField()),
                ('accepted_at', models.DateTimeField(null=True)),
                ('answered_at', models.DateTimeField(null=True)),
                ('closed_at', models.DateTimeField(null=True)),
                ('reminded_at', models.DateTimeField(null=True)),
                ('end_reminded_at', models.DateTimeField(null=True)),
                ('accepted_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('asked_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('asked_department', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='hospitals.department')),
                ('asked_institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='hospitals.institution')),
                ('asked_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('asking_institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='hospitals.institution')),
            ],
        ),
        migrations.CreateModel(
            name='ConsultationEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('kind', models.CharField(choices=[('asked', 'asked'), ('accepted', 'accepted'), ('declined', 'declined'), ('forwarded', 'forwarded'), ('message', 'wrote'), ('studies', 'attached studies'), ('opinion', 'signed an opinion'), ('amended', 'amended the opinion'), ('closed', 'closed the consultation'), ('withdrawn', 'withdrew the question'), ('expired', 'the term has ended'), ('reminded', 'nobody has accepted yet'), ('ending', 'the term ends soon')], max_length=10)),
                ('actor_name', models.CharField(blank=True, default='', max_length=200)),
                ('institution_name', models.CharField(blank=True, default='', max_length=200)),
                ('text', models.TextField(blank=True, default='')),
                ('actor', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('consultation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='sharing.consultation')),
            ],
            options={
                'ordering': ['pk'],
            },
        ),
        migrations.CreateModel(
            name='ConsultationOpinion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('author_username', models.CharField(max_length=150)),
                ('author_name', models.CharField(max_length=200)),
                ('institution_code', models.CharField(max_length=64)),
                ('institution_name', models.CharField(max_length=200)),
                ('department_name', models.CharField(blank=True, default='', max_length=100)),
                ('findings', models.TextField(blank=True, default='')),
                ('opinion', models.TextField()),
                ('advice', models.TextField(blank=True, default='')),
                ('reason', models.CharField(blank=True, default='', max_length=500)),
                ('study_instance_uids', models.JSONField(default=list)),
                ('second_factor', models.BooleanField(default=False)),
                ('signed_at', models.DateTimeField()),
                ('previous_digest', models.CharField(blank=True, default='', max_length=64)),
                ('digest', models.CharField(max_length=64)),
                ('seal', models.CharField(max_length=64)),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('consultation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='opinions', to='sharing.consultation')),
            ],
            options={
                'ordering': ['number'],
            },
        ),
        migrations.CreateModel(
            name='ConsultationSeen',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('newest_entry', models.BigIntegerField(default=0)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('consultation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='seen', to='sharing.consultation')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='ConsultationStudy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('study_instance_uid', models.CharField(max_length=64)),
                ('attached_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('basis', models.CharField(max_length=64)),
                ('attached_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('consultation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='studies', to='sharing.consultation')),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='hospitals.institution')),
                ('study', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='sharing.study')),
            ],
            options={
                'ordering': ['pk'],
            },
        ),
        migrations.AddIndex(
            model_name='consultation',
            index=models.Index(fields=['asked_by', '-id'], name='consultation_asked_by'),
        ),
        migrations.AddIndex(
            model_name='consultation',
            index=models.Index(fields=['asked_user', '-id'], name='consultation_asked_user'),
        ),
        migrations.AddIndex(
            model_name='consultation',
            index=models.Index(fields=['asked_department', '-id'], name='consultation_asked_dept'),
        ),
        migrations.AddIndex(
            model_name='consultation',
            index=models.Index(condition=models.Q(('closed_at__isnull', True)), fields=['expires_at'], name='consultation_open'),
        ),
        migrations.AddConstraint(
            model_name='consultation',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('opens_at'))), name='consultation_ends_after_it_begins'),
        ),
        migrations.AddConstraint(
            model_name='consultation',
            constraint=models.CheckConstraint(condition=models.Q(('asked_user__isnull', False), ('asked_department__isnull', False), _connector='OR'), name='consultation_asks_somebody'),
        ),
        migrations.AddConstraint(
            model_name='consultation',
            constraint=models.CheckConstraint(condition=models.Q(('question', ''), _negated=True), name='consultation_has_a_question'),
        ),
        migrations.AddConstraint(
            model_name='consultation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('closed_at__isnull', True), ('state__in', ['asked', 'accepted', 'answered'])), models.Q(('closed_at__isnull', False), ('state__in', ['closed', 'declined', 'withdrawn', 'expired'])), _connector='OR'), name='consultation_ended_has_an_instant'),
        ),
        migrations.AddConstraint(
            model_name='consultation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('accepted_at__isnull', True), ('accepted_by__isnull', True)), models.Q(('accepted_at__isnull', False), ('accepted_by__isnull', False)), _connector='OR'), name='consultation_accepted_by_whom_and_when'),
        ),
        migrations.AddIndex(
            model_name='consultationentry',
            index=models.Index(fields=['consultation', 'id'], name='consultation_entries'),
        ),
        migrations.AddConstraint(
            model_name='consultationopinion',
            constraint=models.UniqueConstraint(fields=('consultation', 'number'), name='opinion_number_once_per_consultation'),
        ),
        migrations.AddConstraint(
            model_name='consultationopinion',
            constraint=models.CheckConstraint(condition=models.Q(('opinion', ''), _negated=True), name='opinion_says_something'),
        ),
        migrations.AddConstraint(
            model_name='consultationopinion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('number', 1), ('previous_digest', ''), ('reason', '')), models.Q(('number__gt', 1), models.Q(('reason', ''), _negated=True), models.Q(('previous_digest', ''), _negated=True)), _connector='OR'), name='opinion_amended_says_why_and_names_the_former'),
        ),
        migrations.AddConstraint(
            model_name='consultationseen',
            constraint=models.UniqueConstraint(fields=('consultation', 'user'), name='consultation_seen_once_per_reader'),
        ),
        migrations.AddConstraint(
            model_name='consultationstudy',
            constraint=models.UniqueConstraint(fields=('consultation', 'institution', 'study_instance_uid'), name='consultation_study_once'),
        ),
        # What was said and signed is only ever added to.
        migrations.RunSQL(REFUSE, "DROP FUNCTION sharing_refuse_consultation_change();"),
        _protect("sharing_consultationentry"),
        _protect("sharing_consultationopinion"),
    ]
