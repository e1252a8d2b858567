"""What all HTML pages share: templates with escaping, and headers that allow nothing foreign."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

PACKAGE = Path(__file__).parent.parent

PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}


def build_pages() -> Environment:
    """The templates; a value that is missing is an error, and every value is escaped."""
    pages = Environment(
        loader=FileSystemLoader(PACKAGE / "templates"), autoescape=True, undefined=StrictUndefined
    )
    pages.filters["percent"] = percent
    pages.filters["number"] = number
    pages.filters["slug"] = slug
    return pages


def percent(rate: float) -> str:
    return f"{rate:.1%}"


def number(count: int) -> str:
    return f"{count:,}"


def slug(text: str) -> str:
    """A state as the name of a class in the style sheet."""
    return "-".join(text.lower().replace("_", " ").split())
