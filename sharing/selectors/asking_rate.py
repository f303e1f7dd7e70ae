"""How often one account may ask for persons beyond its sight by an exact identity.

Every such question tells whether somebody with this number was examined, and where. Who treats patients asks some
dozens of times a day; who tries numbers in a row is stopped, and it stands in the audit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from django.core.cache import cache
from redis.exceptions import RedisError

from common import audit
from sharing.errors import TooManyQuestions

if TYPE_CHECKING:
    from common.accounts.models import User

log = structlog.get_logger(__name__)

# Questions within seconds: a ceiling for a hurry, and one for the day.
CEILINGS = ((100, 600), (1_000, 86_400))


def count_question(actor: User) -> None:
    """Count one more; several processes count together.

    Raises:
        TooManyQuestions: a ceiling is reached. What is asked meanwhile does not prolong the wait.
    """
    for most, within_s in CEILINGS:
        if _counted(f"person-asked:{actor.pk}:{within_s}", within_s) > most:
            audit.record(
                actor,
                "person.search",
                object_type="sharing.person",
                purpose="search",
                result="refused",
                detail={"most": most, "within_s": within_s},
            )
            raise TooManyQuestions


def _counted(key: str, within_s: int) -> int:
    """How many there are with this one, since the first of the period."""
    try:
        cache.add(key, 0, within_s)
        return cache.incr(key)
    except ValueError:  # it ended between the two: this is the first of the next
        return 1
    except RedisError as error:
        # Without the cache patients are still treated; the audit has every question.
        log.warning("person.questions_not_counted", reason=type(error).__name__)
        return 0
