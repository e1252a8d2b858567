"""Choices beside Liquid: what is a choice, what is just a brace, and how long either may take."""

import time

import pytest

from dispatcher.domain.spintax import BadTemplate, chosen, parse
from dispatcher.domain.templates import template


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("{a|a}", "a", id="a choice"),
        pytest.param("{a|a {b|b {c|c}}}", None, id="choices in choices"),
        pytest.param("{|}", "", id="of nothing and nothing"),
        pytest.param("{a} {} }{", "{a} {} }{", id="braces without a bar"),
        pytest.param("a | b", "a | b", id="a bar without braces"),
        pytest.param(r"\{a|b\} {a\|b}", "{a|b} {a|b}", id="escaped"),
        pytest.param(r"C:\a\\b", r"C:\a\\b", id="other backslashes"),
        pytest.param("{{{ v }}|{{ v }}}", "V", id="places in a choice"),
        pytest.param("{ {{ v }} }", "{ V }", id="a place in braces"),
        pytest.param('{{ n | default: "{a|b}" }}', "{a|b}", id="braces of Liquid's own text"),
        pytest.param("{% raw %}{a|b}{{ v }}{% endraw %}", "{a|b}{{ v }}", id="raw"),
        pytest.param("{% comment %}{a|{% endcomment %}x", "x", id="a comment"),
        pytest.param("{% if v %}{a|a}{% else %}b{% endif %}", "a", id="a choice in a condition"),
        pytest.param("{{% if v %}x{% endif %}|x}", "x", id="a condition in a choice"),
        pytest.param(r"\{{ v }} {% if v %}y{% endif %}", "{{ v }} y", id="a literal place"),
    ],
)
def test_a_text_reads_as_meant(source: str, expected: str | None) -> None:
    text = template(source)
    said = {text.render({"v": "V"}, str(seed)) for seed in range(20)}
    assert said == ({expected} if expected is not None else {"a", "a b", "a b c"})


@pytest.mark.parametrize(
    "html",
    [
        "<style>a{color:red|b}</style>",
        "<STYLE>@media x{a{b:c}|{d|e}}</STYLE >",
        "<script>if(a|b){c|d}</script>",
        "<!-- {a|b} --><!--[if mso]>{a|b}<![endif]-->",
        "<style>a{b|c}",
    ],
)
def test_styles_scripts_and_comments_hold_no_choices(html: str) -> None:
    assert template(html, html=True).render({}) == html


def test_liquid_in_a_style_is_still_liquid() -> None:
    assert template("<style>a{b:{{ v }}}</style>", html=True).render({"v": "c"}) == (
        "<style>a{b:c}</style>"
    )


@pytest.mark.parametrize(
    "source", ["{a|b", "{a|{b}", "{{ v", "{% if", "{% raw %}{{ v }}", "{" * 99]
)
def test_what_is_never_closed_is_refused(source: str) -> None:
    with pytest.raises(BadTemplate):
        parse(source)


@pytest.mark.parametrize(
    "piece", ["{", "{|", "|", "}", "{a|b}", "\\{", "{{", "{%", "<!--", "<style", "{{ v }}", "{a|"]
)
def test_texts_made_to_hurt_are_read_in_one_pass(piece: str) -> None:
    source = piece * (256 * 1024 // len(piece))
    started = time.process_time()
    for html in (False, True):
        try:
            parse(source, html=html)
        except BadTemplate:
            continue
    assert time.process_time() - started < 5


def test_every_option_is_drawn_about_as_often() -> None:
    drawn = [chosen(f"{number:032x}", 0, 3) for number in range(3000)]
    assert all(900 < drawn.count(option) < 1100 for option in range(3))
