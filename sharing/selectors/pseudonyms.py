"""The pseudonyms of persons, for the audit trail: whose study this is."""

from __future__ import annotations

from sharing.models import Person, Study


class StudySubjects:
    """Tells the audit trail the key of the person that an entry is about; one query on an index each."""

    def key_of_study(self, *, institution_id: int, study_instance_uid: str) -> str:
        """The key of the person whose study this is; empty while the study names none."""
        keys = Study.objects.filter(
            institution_id=institution_id, study_instance_uid=study_instance_uid
        ).values_list("person__key", flat=True)
        return keys.first() or ""

    def key_of_person(self, *, person_id: int) -> str:
        """The key of a person; empty where there is none."""
        return Person.objects.filter(pk=person_id).values_list("key", flat=True).first() or ""
