"""One event of every class, every field filled, the same on every machine."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel

from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.event import Event

E = TypeVar("E", bound=Event)

MOMENT = datetime(2026, 11, 21, 15, 4, 5, 678000, tzinfo=UTC)

_VALUES: dict[str, Any] = {
    "occurred_at": MOMENT,
    "delivery_id": "5f0c2e9d7a41b3c86e1f2a3b4c5d6e7f",
    "campaign_id": "campaign-1",
    "sender_id": "sender-1",
    "lead_id": "lead-7",
    "inbound_id": "inbound-3",
    "step": 2,
    "variant": "B",
    "recipient": "bob@two.test",
    "address": "ann@one.test",
    "alias": "sales@one.test",
    "email_address": "ann@one.test",
    "author": "ann@one.test",
    "domain": "one.test",
    "message_id": "<5f0c2e9d7a41b3c8@one.test>",
    "enhanced_status": "5.1.1",
    "reply_code": 250,
    "reply_text": "2.0.0 Ok: queued as 4XyZ",
    "url": "https://one.test/offer?a=1&b=é",
    "text": "Thank you, let us talk on Monday.\nBob",
    "mail_subject": "Re: Hello",
    "username": "ann@one.test",
    "bcc": "audit@one.test",
    "archive": "archive@one.test",
    "host": "mail.one.test",
    "port": 587,
}


def sample(cls: type[E], **changes: Any) -> E:
    """An event whose fields are filled by their names and types; `changes` replace some."""
    values = {name: _of_field(cls, name) for name in cls.model_fields}
    return cls.model_validate({**values, **changes}, by_name=True)


def announcement(cls: type[Event], cause: object = 0, **changes: Any) -> Announcement:
    """An announcement whose id follows from subject and cause."""
    return Announcement(sample(cls, **changes), derived_id(cls.subject, cause))


def _of_field(cls: type[BaseModel], name: str) -> Any:
    return _VALUES[name] if name in _VALUES else _of_type(cls.model_fields[name].annotation, name)


def _of_type(kind: Any, name: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _of_type(arguments[0], name)
    if origin in (Union, UnionType):
        return _of_type(next(a for a in arguments if a is not NoneType), name)
    if origin is Literal:
        return arguments[-1]
    if origin is tuple:
        return (_of_type(arguments[0], f"{name}-1"), _of_type(arguments[0], f"{name}-2"))
    if origin is dict:
        return {"a1b2c3d4e5f60718": _of_type(arguments[1], name)}
    if kind in (datetime, AwareDatetime):
        return MOMENT + timedelta(seconds=len(name))
    if issubclass(kind, StrEnum):
        return list(kind)[-1]
    if issubclass(kind, BaseModel):
        return {n: _of_field(kind, n) for n in kind.model_fields}
    return {bool: True, int: 42, float: 0.5, str: f"{name} of a sample"}[kind]
