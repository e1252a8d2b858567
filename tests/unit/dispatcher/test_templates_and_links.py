"""Texts from people whom nobody need trust: what they may say, and how long that may take."""

import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.links import BadLink, check_destination, rewrite_html, rewrite_words
from dispatcher.domain.spintax import Choice, Node, Words, parse
from dispatcher.domain.templates import MAX_TEMPLATE_CHARACTERS, BadTemplate, template

BOMBS = {
    "a loop over a range": "{% for i in (1..1000000000) %}x{% endfor %}",
    "a reversed range": "{% for i in (1..999999999) reversed %}x{% endfor %}",
    "a table": "{% tablerow i in (1..100000000) %}x{% endtablerow %}",
    "a joined range": '{{ (1..99999999) | join: "" }}',
    "a sorted range": "{% assign a = (1..99999999) | sort %}",
    "a sliced range": "{{ (1..99999999) | slice: 0, 99999999 | size }}",
    "replacements": '{{ "a"' + ' | replace: "a", "aaaaaaaaaa"' * 12 + " }}",
    "one huge replacement": '{{ "' + "a" * 9000 + '" | replace: "", "' + "b" * 200_000 + '" }}',
    "a glued list": '{{ "' + "a" * 9000 + '" | split: "" | join: "' + "b" * 200_000 + '" }}',
    "doubling": '{% assign x = "' + "a" * 25 + '" %}' + "{% assign x = x | append: x %}" * 40,
    "squares": "{% assign x = 99999999 %}" + "{% assign x = x | times: x %}" * 60 + "{{ x }}",
    "captures": "{% capture x %}aaaaaaaaaa{% endcapture %}"
    + ("{% capture x %}" + "{{ x }}" * 8 + "{% endcapture %}") * 12,
    "deep nesting": "{% if true %}" * 3000 + "x" + "{% endif %}" * 3000,
    "a template in a file": '{% include "/etc/passwd" %}',
}


@pytest.mark.parametrize("source", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_quickly(source: str) -> None:
    started = time.process_time()
    with pytest.raises(BadTemplate):
        template(source).render({"name": "Jo"})
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("source", "values", "expected"),
    [
        pytest.param("Hi {{ name }}", {"name": "Jo"}, "Hi Jo", id="a field"),
        pytest.param('Hi {{ nick | default: "friend" }}', {}, "Hi friend", id="a default"),
        pytest.param('{{ nick | default: "x" }}', {"nick": ""}, "x", id="a default for nothing"),
        pytest.param('{{ name | split: " " | first }}', {"name": "Jo Doe"}, "Jo", id="first name"),
        pytest.param("{% if a == 'b' %}x{% else %}y{% endif %}", {"a": "b"}, "x", id="a choice"),
        pytest.param("{{ self }} {{ args }}", {"self": "me", "args": "2"}, "me 2", id="odd names"),
        pytest.param("{{ name }}", {"name": "{{ 7 | times: 7 }}"}, "{{ 7 | times: 7 }}", id="once"),
    ],
)
def test_fields_are_filled_in(source: str, values: dict[str, str], expected: str) -> None:
    assert template(source).render(values) == expected


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("Hi {{ nick }}", id="an unknown field"),
        pytest.param("Hi {{ nick | upcase }}", id="an unknown field with a filter"),
        pytest.param("{{ name.__class__.__mro__ }}", id="a way out"),
        pytest.param("{{ name | safe }}", id="a filter that would end escaping"),
        pytest.param("{{ name | nosuch }}", id="an unknown filter"),
        pytest.param("{{ name", id="an unclosed place"),
        pytest.param("{% nosuch %}", id="an unknown tag"),
        pytest.param("x" * (MAX_TEMPLATE_CHARACTERS + 1), id="too long"),
    ],
)
def test_what_cannot_be_filled_in_is_an_error_with_a_reason(source: str) -> None:
    with pytest.raises(BadTemplate) as error:
        template(source).render({"name": "Jo"})
    assert 0 < len(str(error.value)) <= 300


@given(st.text())
def test_values_in_html_are_always_escaped(value: str) -> None:
    filled = template("<b>{{ v }}</b>", html=True).render({"v": value})
    inner = filled.removeprefix("<b>").removesuffix("</b>")
    assert not {"<", ">", '"'} & set(inner)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " java\nscript:alert(1)",
        "\x01javascript:alert(1)",
        "data:text/html,<script>",
        "vbscript:x",
        "file:///etc/passwd",
        "https://user:password@x.test/",
        "https://user@x.test/",
        "//user@evil.test/",
        "https://",
        "https:///path",
        "http://[",
    ],
)
def test_destinations_that_no_mail_may_carry_are_refused(url: str) -> None:
    with pytest.raises(BadLink):
        check_destination(url)
    with pytest.raises(BadLink):
        rewrite_html(f'<p><a class="b" HREF="{url}">x</a>', lambda _: "P")
    with pytest.raises(BadLink):
        rewrite_html(f"<a title='a>b' href = '{url}'>x</a>", lambda _: "P")


def test_entities_do_not_hide_a_scheme() -> None:
    with pytest.raises(BadLink):
        rewrite_html('<a href="java&#115;cript&colon;x">', lambda _: "P")


@pytest.mark.parametrize(
    "html",
    [
        '<a href="{https://x.test/|javascript:alert(1)}">',
        '<a href="{j|k}{ava|b}script:alert(1)">',
        '<a href="javascript:{{ x }}">',
        '<a href="{{ x | default: "y" }}" title=">"><a href="data:x">',
        '<a href="' + "{a|b}" * 8 + '">',
    ],
)
def test_choices_and_places_do_not_hide_a_scheme(html: str) -> None:
    with pytest.raises(BadLink):
        rewrite_html(html, lambda _: "P")


def test_every_option_of_an_address_is_tracked_by_itself() -> None:
    html = '<a href="{https://a.test|https://b.test}">'
    assert (
        rewrite_html(html, lambda url: f"<{url}>")
        == '<a href="{<https://a.test>|<https://b.test>}">'
    )


@pytest.mark.parametrize("value", ["javascript:alert(1)", " java\tscript:x", "https://u@evil.test"])
@pytest.mark.parametrize(
    "source",
    [
        '<a href="{{ v }}">',
        "<a href='{{ v | default: \"https://x.test\" }}'>",
        "{% if v %}<a href={{ v }}>{% endif %}",
    ],
)
def test_a_lead_brings_no_address_that_runs(source: str, value: str) -> None:
    text = template(rewrite_html(source, lambda _: None), html=True)
    with pytest.raises(BadTemplate):
        text.render({"v": value})


@pytest.mark.parametrize("tag", ["", "{% if v %}{% endif %}"], ids=["plain", "Liquid"])
def test_a_value_in_an_address_adds_no_parameter_and_no_host(tag: str) -> None:
    source = tag + '<a href="https://x.test/{{ v }}?q={{ v }}&amp;r={{ v | url_encode }}">'
    text = template(rewrite_html(source, lambda _: None), html=True)
    assert text.render({"v": "a/b c?d=e&f#é"}) == (
        '<a href="https://x.test/a/b%20c%3Fd%3De%26f%23%C3%A9'
        '?q=a/b%20c%3Fd%3De%26f%23%C3%A9&amp;r=a%2Fb+c%3Fd%3De%26f%23%C3%A9">'
    )


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        pytest.param(
            '<a href="https://x.test/">k</a>', '<a href="[https://x.test/]">k</a>', id="1"
        ),
        pytest.param("<A HREF='http://x.test'>", "<A HREF='[http://x.test]'>", id="upper case"),
        pytest.param("<a href=https://x.test/a>", '<a href="[https://x.test/a]">', id="no quotes"),
        pytest.param(
            '<a href="https://x.test/?a=1&amp;copy=2">',
            '<a href="[https://x.test/?a=1&copy=2]">',
            id="entities are read once",
        ),
        pytest.param('<a href="mailto:a@x.test">', '<a href="mailto:a@x.test">', id="mail address"),
        pytest.param('<a href="#top">', '<a href="#top">', id="inside the page"),
        pytest.param(
            '<a href="https://x.test/{{ id }}">',
            '<a href="https://x.test/{{ id | __url }}">',
            id="a field",
        ),
        pytest.param(
            '<link href="https://x.test/">', '<link href="https://x.test/">', id="not <a>"
        ),
        pytest.param(
            "<!-- <a href='https://x.test'> -->", "<!-- <a href='https://x.test'> -->", id="!"
        ),
        pytest.param(
            '<a data-href="https://x.test/">', '<a data-href="https://x.test/">', id="data-"
        ),
        pytest.param(
            '<a title="href=https://y.test" href="https://x.test/">',
            '<a title="href=https://y.test" href="[https://x.test/]">',
            id="another attribute that looks like one",
        ),
        pytest.param("a < b <a href", "a < b <a href", id="unfinished"),
    ],
)
def test_anchors_in_html_are_rewritten(html: str, expected: str) -> None:
    assert rewrite_html(html, lambda url: f"[{url}]") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("see https://x.test/a.", "see [https://x.test/a].", id="a full stop"),
        pytest.param("(https://x.test/a)", "([https://x.test/a])", id="in brackets"),
        pytest.param("https://x.test/{{ id }}", "https://x.test/{{ id }}", id="a field"),
        pytest.param(
            "{a https://x.test/a|https://x.test/b}/c https://x.test/d",
            "{a https://x.test/a|https://x.test/b}/c [https://x.test/d]",
            id="a choice that goes on",
        ),
        pytest.param(
            "{a https://x.test/a|b} {{ c }}", "{a [https://x.test/a]|b} {{ c }}", id="a choice"
        ),
        pytest.param("ftp://x.test no@x.test", "ftp://x.test no@x.test", id="no web address"),
    ],
)
def test_addresses_in_text_are_rewritten(text: str, expected: str) -> None:
    assert _said(rewrite_words(parse(text), lambda url: [Words(f"[{url}]")])) == expected


def _said(nodes: Iterable[Node]) -> str:
    return "".join(
        "{" + "|".join(map(_said, node.options)) + "}"
        if isinstance(node, Choice)
        else node.text
        if isinstance(node, Words)
        else node.source
        for node in nodes
    )


def test_a_tracked_address_in_text_names_no_user() -> None:
    with pytest.raises(BadLink):
        rewrite_words(parse("log in at https://bank.test:x@evil.test/ now"), parse)


@pytest.mark.parametrize(
    "html", ["<a ", "<a href='", '<a href="', "<!--", "<", "&", "<![CDATA[", "</a ", "<a x=' y=\""]
)
def test_html_made_to_hurt_is_read_in_one_pass(html: str) -> None:
    started = time.process_time()
    rewrite_html(html * (256 * 1024 // len(html)), lambda _: "P")
    rewrite_words(parse(html * (256 * 1024 // len(html))), parse)
    assert time.process_time() - started < 2


@given(st.text(alphabet="<>a\"' =/!-hrefx:.{}&;"))
def test_no_html_breaks_the_reader_and_nothing_else_is_changed(html: str) -> None:
    try:
        assert rewrite_html(html, lambda url: url) is not None
    except (BadLink, BadTemplate):
        return
    assert "https://" in html or rewrite_html(html, lambda _: "P") == html
