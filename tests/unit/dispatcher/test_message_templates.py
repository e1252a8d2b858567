"""Templates of mails of their own: what they need, what they refuse, and their versions in the database."""

from dataclasses import replace
from typing import Any

import pytest

from dispatcher.domain.message_templates import BadTexts, CompiledTexts, MessageTemplate, Texts
from dispatcher.store.templates import Templates

WELCOME = MessageTemplate("welcome", "Welcome", Texts("Hi {{ name }}", "Dear {{ name }}"), 1, 5, 5)


def test_the_fields_of_all_texts_are_known_before_they_are_filled() -> None:
    compiled = CompiledTexts(
        Texts(
            "{Hi|Hello} {{ name }}",
            "{% if vip == 'yes' %}{{ title | upcase }}{% endif %} {{ name }}",
            "<a href='https://x.test/{{ path }}'>{{ city | default: 'here' }}</a>",
        )
    )
    assert compiled.fields == {"name", "vip", "title", "path", "city"}
    assert compiled.required == {"name", "path"}


@pytest.mark.parametrize(
    ("texts", "wrong"),
    [
        pytest.param(Texts("{% for x in (1..9) %}"), ["subject"], id="a loop"),
        pytest.param(Texts("Hi", "{{ name.__class__ }}"), ["text"], id="an attribute"),
        pytest.param(Texts("Hi", "{% include 'x' %}"), ["text"], id="another file"),
        pytest.param(Texts("{{", "x", "{% if %}"), ["subject", "html"], id="two of them"),
        pytest.param(
            Texts("Hi", "", "<a href='javascript:{{ x }}'>x</a>"), ["html"], id="a link that runs"
        ),
        pytest.param(
            Texts("Hi", "", "<a title={{ x }} href='https://x.test'>x</a>"),
            ["html"],
            id="a value that could add attributes",
        ),
        pytest.param(
            Texts("Hi", "", "<p {{ x }}>x</p>"), ["html"], id="a value that is attributes"
        ),
        pytest.param(
            Texts("Hi", "{% assign a = 'x' %}" + "{% assign a = a | append: a %}" * 40 + "{{ a }}"),
            ["text"],
            id="a gigabyte",
        ),
    ],
)
def test_what_can_never_be_filled_is_refused_by_its_part(texts: Texts, wrong: list[str]) -> None:
    with pytest.raises(BadTexts) as refused:
        CompiledTexts(texts)
    assert [fault.field for fault in refused.value.faults] == wrong


@pytest.mark.parametrize(
    "html",
    [
        "<p title='{{ x }}' class=a>{{ x }}</p>",
        "<a href={{ x }}>x</a>",
        "<p {% if x == 'a' %}class=b{% endif %}>x</p>",
        "a < b and {{ x }} > c",
        "<!-- <p title={{ x }}> --><p>{{ x }}</p>",
    ],
)
def test_values_between_quotes_and_outside_of_tags_are_fine(html: str) -> None:
    assert "x" in CompiledTexts(Texts("Hi", "", html)).fields


async def test_versions_are_kept_and_who_was_slower_changes_nothing(database: Any) -> None:
    store = Templates(database.templates, database.template_versions)
    await store.ensure_indexes()
    assert [await store.insert(WELCOME), await store.insert(WELCOME)] == [True, False]
    second = replace(WELCOME, texts=Texts("Hello {{ name }}", "x"), version=2, at=6)
    assert await store.change(WELCOME, second)
    assert not await store.change(WELCOME, replace(second, name="Lost"))
    assert await store.change(second, replace(second, name="Third", version=3, at=7))
    assert [one.version for one in await store.versions(replace(second, version=3))] == [3, 2, 1]
    assert await store.get("welcome", 1) == WELCOME
    assert await store.get("welcome", 2) == second
    newest = await store.get("welcome")
    assert newest is not None
    assert (newest.version, newest.name) == (3, "Third")
    for missing in (
        await store.get("welcome", 4),
        await store.get("nobody"),
        await store.get("nobody", 1),
    ):
        assert missing is None
    for name in ("b", "a"):
        await store.insert(replace(WELCOME, id=name))
    assert [one.id for one in await store.page(None, 2)] == ["a", "b"]
    assert [one.id for one in await store.page("b", 2)] == ["welcome"]
    assert [await store.delete("welcome"), await store.delete("welcome")] == [True, False]
    assert await store.get("welcome", 1) is None
