"""What every event is. What rides in NATS headers (the id, the time) is in `postfleet.cloudevents`."""

from datetime import UTC
from typing import Annotated, ClassVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict

#: A time on the wire: RFC 3339 in UTC, whatever zone it was given in.
Moment = Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))]


class Event(BaseModel):
    """A fact. `subject` is its NATS subject and CloudEvents type; `source` the service that says it.

    `aggregate` names the field whose value is the CloudEvents subject: the id of what changed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_timedelta="float")

    subject: ClassVar[str]
    source: ClassVar[str]
    aggregate: ClassVar[str] = "delivery_id"

    occurred_at: Moment

    @property
    def aggregate_id(self) -> str:
        return str(getattr(self, self.aggregate))
