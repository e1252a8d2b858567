"""The form for a new campaign: what it asks, and the campaign that follows from the answers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tracker.api.blocks import Field, Form

_ADDRESS = "/dashboard/campaigns/new"
_LONG = 20_000

_FIELDS = (
    Field("name", "Name", required=True),
    Field("senders", "Sent by", value="all", required=True, hint="all, or addresses, domains and "
          "tags of senders, with commas between them"),
    Field("subject", "Subject", required=True, hint="{{ first_name }} takes a lead's field; "
          '{{ first_name | default: "there" }} says what stands where there is none'),
    Field("body_text", "Text", "area", required=True),
    Field("follow_up", "Text of the follow-up", "area", hint="Goes to who did not reply. Empty: none"),
    Field("follow_up_days", "Days before the follow-up", "number", "3"),
    Field("postal_address", "Postal address of the sending company", required=True),
    Field("timezone", "Time zone of the opening hours", value="UTC", required=True,
          hint="As Europe/Berlin. Mondays to Fridays, 9 to 17, where nothing else is set over the API"),
    Field("leads", "Leads as CSV", "file", accept=".csv,text/csv",
          hint="The first line names the columns; one of them is email. Up to 20 MB here, "
          "any size over the API"),
)  # fmt: skip
#: Where the API speaks of a field of its own, the form's field that it came from.
_OURS = (
    (r"steps\.1\..*", "follow_up"),
    (r"steps\.0\.(variants\.0\.)?subject", "subject"),
    (r"steps\.0.*", "body_text"),
    (r"schedule\.timezone", "timezone"),
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What was written into the form; a file is not shown again."""

    values: Mapping[str, str]

    def body(self) -> dict[str, Any]:
        """The campaign for `POST /campaigns`. Raises BadWish."""
        v = self.values
        steps: list[dict[str, Any]] = [{"subject": v["subject"], "body_text": v["body_text"]}]
        if v["follow_up"].strip():
            steps.append({"delay": _days(v["follow_up_days"]), "body_text": v["follow_up"]})
        return {
            "name": v["name"],
            "senders": [name.strip() for name in v["senders"].split(",") if name.strip()],
            "steps": steps,
            "schedule": {"timezone": v["timezone"]},
            "postal_address": v["postal_address"],
        }


class BadWish(ValueError):
    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def _days(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,3}", text.strip()) or int(text) > 365:
        raise BadWish("follow_up_days", "a whole number of days, 0 to 365")
    return f"P{int(text)}D"


def wish_of(answers: Mapping[str, Any]) -> Wish:
    """The texts of the form's fields, those that are missing as they are shown at first."""
    found = {one.name: answers.get(one.name, one.value) for one in _FIELDS if one.kind != "file"}
    return Wish({k: v[:_LONG] if isinstance(v, str) else "" for k, v in found.items()})


def new_campaign_form(wish: Wish, wrong: Mapping[str, str]) -> Form:
    fields = [
        Field(
            one.name,
            one.label,
            one.kind,
            wish.values.get(one.name, ""),
            one.hint,
            wrong.get(one.name, ""),
            one.required,
            one.accept,
        )
        for one in _FIELDS
    ]
    note = "It is a draft until you start it: nothing is sent before."
    return Form("What to send", _ADDRESS, fields, "Create the draft", note=note)


def wrong_fields(errors: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """What the API found wrong, by the field of the form."""
    names = {one.name for one in _FIELDS}
    found: dict[str, str] = {}
    for path, message in errors:
        dotted = re.sub(r"\[(\d+)\]", r".\1", path)
        mapped = next((ours for theirs, ours in _OURS if re.fullmatch(theirs, dotted)), "")
        name = mapped or dotted.partition(".")[0]
        if name in names:
            found.setdefault(name, message)
    return found
