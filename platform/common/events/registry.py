"""Events as frozen dataclasses, how they are stored, and who hears them."""

from __future__ import annotations

import dataclasses
import typing
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

E = TypeVar("E", bound="Event")
Handler = Callable[[Any], None]


class EventMisdeclared(TypeError):
    """Two events or two handlers of one name, or an event without a field of its own."""


_types: dict[str, type[Event]] = {}
_handlers: dict[str, dict[str, Handler]] = {}


@dataclass(frozen=True)
class Event:
    """Something that happened, told in the past tense, with ids and no patient data.

    Events of one key reach each handler in the order in which they were published; the key is the first field of
    the subclass unless ``ordered_by`` names another. ``event_id`` is the same at every delivery: what a handler does
    outside of the database is made idempotent by it.
    """

    event_id: uuid.UUID = field(default_factory=uuid.uuid4, kw_only=True)
    occurred_at: datetime = field(default_factory=lambda: datetime.now(UTC), kw_only=True)

    ordered_by: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        name = cls.event_type()
        known = _types.get(name)
        if known is not None and known.__module__ != cls.__module__:
            raise EventMisdeclared(f"{name} is declared in {known.__module__} already")
        _types[name] = cls

    @classmethod
    def event_type(cls) -> str:
        """The stored name: module and class, ``sharing.StudyBecameRetrievable``."""
        return f"{cls.__module__.partition('.')[0]}.{cls.__qualname__}"

    @property
    def key(self) -> str:
        """What the order is kept for."""
        if self.ordered_by:
            return str(getattr(self, self.ordered_by))
        own = [
            f.name for f in dataclasses.fields(self) if f.name not in {"event_id", "occurred_at"}
        ]
        if not own:
            raise EventMisdeclared(f"{self.event_type()} has no field to order by")
        return str(getattr(self, own[0]))

    def to_payload(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            f.name: _to_json(getattr(self, f.name))
            for f in dataclasses.fields(self)
            if f.name not in {"event_id", "occurred_at"}
        }


def event_from(
    type_name: str, payload: dict[str, Any], *, event_id: uuid.UUID, occurred_at: datetime
) -> Event:
    """The event as it was published. Fields that this release no longer knows are left out.

    Raises:
        EventMisdeclared: no such event, or a field is missing.
    """
    cls = _types.get(type_name)
    if cls is None:
        raise EventMisdeclared(f"{type_name} is not declared by any module")
    hints = typing.get_type_hints(cls)
    values = {
        f.name: _from_json(hints[f.name], payload[f.name])
        for f in dataclasses.fields(cls)
        if f.name in payload
    }
    try:
        return cls(**values, event_id=event_id, occurred_at=occurred_at)
    except TypeError as error:
        raise EventMisdeclared(f"{type_name} was stored with other fields: {error}") from error


def _to_json(value: Any) -> Any:
    if isinstance(value, uuid.UUID | Decimal):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return [_to_json(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise EventMisdeclared(f"an event cannot carry {type(value).__name__}")


_PARSERS: dict[Any, Callable[[str], Any]] = {
    uuid.UUID: uuid.UUID,
    Decimal: Decimal,
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
}


def _from_json(hint: Any, value: Any) -> Any:
    if isinstance(value, list):
        inner = [argument for argument in typing.get_args(hint) if argument is not Ellipsis]
        items = [_from_json(inner[0] if inner else Any, item) for item in value]
        return tuple(items) if typing.get_origin(hint) is tuple else items
    if isinstance(value, str):
        for candidate in (hint, *typing.get_args(hint)):  # also inside "date | None"
            if candidate in _PARSERS:
                return _PARSERS[candidate](value)
    return value


def subscribe(event_type: type[E]) -> Callable[[Callable[[E], None]], Callable[[E], None]]:
    """Make the decorated function hear every event of the type; it belongs into a module's ``handlers.py``.

    It runs in a transaction of its own together with the note that it has heard: database work happens once.
    """

    def decorate(handler: Callable[[E], None]) -> Callable[[E], None]:
        name = f"{handler.__module__}.{handler.__qualname__}"
        listeners = _handlers.setdefault(event_type.event_type(), {})
        if name in listeners and listeners[name] is not handler:
            raise EventMisdeclared(f"{name} subscribes twice to {event_type.event_type()}")
        listeners[name] = handler
        return handler

    return decorate


def handlers_of(type_name: str) -> dict[str, Handler]:
    """The handlers of an event type, by name."""
    return dict(_handlers.get(type_name, {}))


def unsubscribe(event_type: type[Event], handler: Handler) -> None:
    """Take a handler away again: for tests."""
    _handlers.get(event_type.event_type(), {}).pop(
        f"{handler.__module__}.{handler.__qualname__}", None
    )
