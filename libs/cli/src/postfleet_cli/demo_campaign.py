"""What the demo sends, and to whom: data only."""

from typing import Any

NAME = "Postfleet demo"
ROWS = 200  # of the lead file, malformed and repeated ones included
STEP_2_AFTER_S = 25

#: address -> display name; two providers of the simulated mail world
SENDERS = {"alex@acme.test": "Alex from Acme", "kim@globex.test": "Kim from Globex"}

_FIRST_TEXT = """Hello {{ first_name | default: "there" }},

how does {{ company | default: "your company" }} send its mail today? We wrote down what we learned:
https://www.example.com/guide

Best regards
Your demo
"""
_FIRST_HTML = """<p>Hello {{ first_name | default: "there" }},</p>
<p>how does {{ company | default: "your company" }} send its mail today? We wrote down
<a href="https://www.example.com/guide">what we learned</a>, and there is
<a href="https://www.example.com/pricing?from=demo">a price list</a>.</p>
<p>Best regards<br>Your demo</p>
"""
_SECOND_TEXT = """Hello {{ first_name | default: "there" }},

did you find the time? Here it is once more: https://www.example.com/guide

Best regards
Your demo
"""
_SECOND_HTML = """<p>Hello {{ first_name | default: "there" }},</p>
<p>did you find the time? Here it is <a href="https://www.example.com/guide">once more</a>.</p>
<p>Best regards<br>Your demo</p>
"""


def campaign(sender_ids: list[str]) -> dict[str, Any]:
    """Two steps; the second one for those who have not replied."""
    return {
        "name": NAME,
        "senders": sender_ids,
        "steps": [
            {
                "delay": 0,
                "subject": 'A question about {{ company | default: "your mail" }}',
                "body_text": _FIRST_TEXT,
                "body_html": _FIRST_HTML,
            },
            {
                "delay": STEP_2_AFTER_S,
                "condition": "not_replied",
                "subject": 'Once more, {{ first_name | default: "hello" }}',
                "body_text": _SECOND_TEXT,
                "body_html": _SECOND_HTML,
            },
        ],
        "tracking": {"opens": True, "clicks": True},
        "check_reply": True,
        "category": "campaign",
        "postal_address": "Postfleet Demo, 1 Example Street, 12345 Sampletown",
    }


def sender(address: str, password: str, made: dict[str, Any]) -> dict[str, Any]:
    """The registration of one of the two, with the account that the sandbox has made."""
    return {
        "email_address": address,
        "display_name": SENDERS[address],
        "inbox_type": "CUSTOM_SMTP",
        "daily_limit": 400,
        "account_age_days": 365,
        "tags": ["demo"],
        "smtp_host": made["smtp_host"],
        "smtp_port": made["smtp_port"],
        "smtp_username": address,
        "smtp_password": password,
        "smtp_use_tls": True,
        "imap_host": made["imap_host"],
        "imap_port": made["imap_port"],
        "imap_username": address,
        "imap_password": password,
        "imap_use_ssl": True,
    }
