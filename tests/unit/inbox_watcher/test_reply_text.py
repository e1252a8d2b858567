"""What is new in a reply: history and signature go, everything else stays."""

# ruff: noqa: RUF001 (letters of other scripts are meant)

import pytest

from inbox_watcher.domain.html_text import text_of_html
from inbox_watcher.domain.reply_text import new_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Yes.\n\nOn 1 May 2026, Max <m@x.y> wrote:\n> Hi", "Yes.", id="English"),
        pytest.param("Ja.\n\nAm 01.05.26 um 10:00 schrieb Max:\n> Hi", "Ja.", id="German"),
        pytest.param("Ja.\n\nOp 1 mei 2026 schreef Max <m@x.y>:\n> Hi", "Ja.", id="Dutch"),
        pytest.param(
            "Sì.\n\nIl giorno 1 mag 2026 Max <m@x.y> ha scritto:\n> Hi", "Sì.", id="Italian"
        ),
        pytest.param(
            "Sim.\n\nEm 1 de mai. de 2026, Max <m@x.y> escreveu:\n> Hi", "Sim.", id="Portuguese"
        ),
        pytest.param("Ja.\n\nDen 1 maj 2026 skrev Max <m@x.y>:\n> Hi", "Ja.", id="Swedish"),
        pytest.param("Tak.\n\nW dniu 1.05.2026 Max pisze:\n> Hi", "Tak.", id="Polish"),
        pytest.param("Да.\n\n01.05.2026, 10:00, Max <m@x.y>:\n> Hi", "Да.", id="Russian"),
        pytest.param(
            "Evet.\n\n1 May 2026 tarihinde Max <m@x.y> yazdı:\n> Hi", "Evet.", id="Turkish"
        ),
        pytest.param("好的\n\nMax <m@x.y> 于2026年5月1日 写道：\n> Hi", "好的", id="Chinese"),
        pytest.param("> Hi\n\nBelow.", "Below.", id="bottom-posted without attribution"),
        pytest.param(
            "She wrote: come in.\nI did.", "She wrote: come in.\nI did.", id="prose stays"
        ),
        pytest.param(
            "On Monday I wrote:\nsee you", "On Monday I wrote:\nsee you", id="no date, no quote"
        ),
        pytest.param(
            "From: here to there\nall well", "From: here to there\nall well", id="no header block"
        ),
        pytest.param(
            "Text\n________________________________\nFrom: A\nSent: B\nTo: C", "Text", id="Outlook"
        ),
        pytest.param(
            "Text\n____________________\nmore",
            "Text\n____________________\nmore",
            id="a line drawn",
        ),
        pytest.param("Fine.\n-- \nAnn\n+44 1", "Fine.", id="signature"),
        pytest.param("-- \nAnn", "--\nAnn", id="nothing but a signature is kept"),
        pytest.param("Ok\n\nGesendet von meinem iPhone", "Ok", id="phone"),
        pytest.param("", "", id="empty"),
    ],
)
def test_the_new_text_is_found(text: str, expected: str) -> None:
    assert new_text(text) == expected


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>a</p><p>b</p>", "a\n\nb"),
        ("a<br>b&nbsp;&amp;&lt;c", "a\nb &<c"),
        ("x<div class=gmail_quote>old<div>older</div></div>y", "x\ny"),
        ("x<div id='divRplyFwdMsg'>old</div>older", "x"),
        ("x<blockquote>old</blockquote>y", "x\n> old\ny"),
        ("<!-- hidden -->x<style>p{}</style><script>1<2</script>", "x"),
        ("a < b and <c", "a < b and <c"),
        ("<b", "<b"),
    ],
)
def test_html_becomes_text_without_its_quotes(html: str, expected: str) -> None:
    assert text_of_html(html) == expected
