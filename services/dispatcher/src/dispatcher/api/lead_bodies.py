"""What callers send about leads, and how a lead is shown."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, field_validator

from dispatcher.domain.companies import companies_of
from dispatcher.domain.consent import MAX_SOURCE_OCTETS, Consent, ConsentLevel
from dispatcher.domain.lead_rows import MAX_FIELDS, wrong_name, wrong_text
from dispatcher.domain.progress import NEVER
from dispatcher.store.lead_documents import Lead
from postfleet.addresses import check_text
from postfleet.http import Strict
from postfleet.instants import rfc3339, to_ms


class ConsentBody(Strict):
    """`at` is now if it is left out; `source` says where it was given, as evidence."""

    level: Annotated[ConsentLevel, Field(strict=False)]
    at: Annotated[AwareDatetime | None, Field(strict=False)] = None
    source: Annotated[str, Field(max_length=MAX_SOURCE_OCTETS)] = ""

    @field_validator("source")
    @classmethod
    def _text(cls, value: str) -> str:
        return check_text(value)

    def domain(self, now: int) -> Consent:
        return Consent(self.level, to_ms(self.at) if self.at else now, self.source)


class LeadPatch(Strict):
    """Fields that are left out stay as they are."""

    state: Literal["active", "paused", "finished"] | None = None
    fields: Annotated[dict[str, str | None] | None, Field(max_length=MAX_FIELDS)] = None
    consent: ConsentBody | None = None

    @field_validator("fields")
    @classmethod
    def _clean(cls, value: dict[str, str | None] | None) -> dict[str, str | None] | None:
        for name, text in (value or {}).items():
            reason = "" if name else "a field needs a name"
            reason = reason or wrong_name(name) or wrong_text(text or "")
            if reason:
                raise ValueError(f"{name[:100]}: {reason}")
        return value


class ResumeBody(Strict):
    """`company` is a name as in the field `company`, or a domain; without it, everybody."""

    company: Annotated[str | None, Field(min_length=1, max_length=254)] = None

    def fits(self, address: str, fields: Mapping[str, str]) -> bool:
        if self.company is None:
            return True
        wanted = " ".join(self.company.casefold().split())
        return bool({f"domain:{wanted}", f"name:{wanted}"} & set(companies_of(address, fields)))


def lead_shown(lead: Lead) -> dict[str, Any]:
    return {
        "id": lead.lead_id,
        "email": lead.address,
        "state": lead.state.value,
        "reason": lead.reason or None,
        "next_step": lead.step,
        "next_at": rfc3339(lead.due) if 0 < lead.due < NEVER else None,
        "sender_id": lead.sender_id,
        "fields": lead.fields,
        "consent": {
            "level": lead.consent.level.value,
            "at": rfc3339(lead.consent.at),
            "source": lead.consent.source or None,
        },
    }
