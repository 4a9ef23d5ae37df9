"""The page that runs a network, under the hands of a user in a browser."""

import itertools
import re
import time
import urllib.parse

import numpy as np
import pytest

from tests.export.test_web import KINDS
from tests.export.web_networks import LABELS, SENTENCES, make, odd_texts
from wave_jax.export.web import write_web

COUNT = itertools.count()
READY = (
    "return !document.querySelector('#text').disabled && document.querySelector('.token') != null"
)
SHARES = (
    "return [...document.querySelectorAll('.class .share')].map(e => parseFloat(e.textContent))"
)
NEXT_FRAME = "return new Promise(done => requestAnimationFrame(() => setTimeout(done)))"
TOKENS = "return [...document.querySelectorAll('.token')].map(e => e.textContent)"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    model, data = KINDS["default"]
    return path, write_web(make(model, **data), path, examples=SENTENCES)


@pytest.fixture
def page(browser, exported):
    """Opens the page afresh."""

    def open_page(text=None, **options):
        fragment = "" if text is None else "#" + urllib.parse.urlencode({"text": text})
        browser.open(f"{exported[0]}?{next(COUNT)}{fragment}", **options)  # or it were not loaded
        wait(browser, READY)

    browser.console()
    return open_page


def wait(browser, condition):
    for _ in range(200):
        if browser.script(condition):
            return
        time.sleep(0.05)
    raise AssertionError(f"never: {condition}")


def type_text(browser, text):
    """Sets the text as a keystroke does, and waits until it is drawn."""
    browser.script(
        "const t = document.querySelector('#text'); t.value = arguments[0];"
        "t.dispatchEvent(new Event('input'));" + NEXT_FRAME,
        text,
    )


def answer(browser):
    """The label that the page says, and its share of a hundred."""
    return browser.script(
        "const best = document.querySelector('.class.best');"
        "return [best.querySelector('.name').textContent, best.querySelector('.share').textContent]"
    )


def test_labels_are_those_of_python_and_the_console_stays_empty(page, browser, exported):
    page()
    assert browser.text("#text") == ""  # a text area's content; its value is the first example
    for text in [*SENTENCES, *(text[:300] for text in odd_texts()[::4])]:
        type_text(browser, text)
        expected = exported[1].predict(text)
        label, share = answer(browser)
        assert label == expected.label, text
        assert float(share.split()[0]) == pytest.approx(
            100 * expected.probabilities[label], abs=0.06
        ), text
    assert browser.console() == []


def test_markup_in_labels_and_texts_shows_as_text(page, browser):
    page("<img src=x onerror=alert(1)> <b>sea</b>")
    names = browser.script(
        "return [...document.querySelectorAll('.class .name')].map(e => e.textContent)"
    )
    assert tuple(names) == LABELS
    assert (
        browser.script("return document.querySelectorAll('main img, .name b, #tokens b').length")
        == 0
    )
    assert browser.console() == []


def test_a_second_click_or_delete_drops_a_token(page, browser, exported):
    page(SENTENCES[0])
    before = browser.script(SHARES)
    browser.hover(".token:nth-of-type(3)", click=True)
    assert browser.text("h2 .chosen") == "waves"
    assert browser.script(SHARES) == before
    browser.hover(".token:nth-of-type(3)", click=True)
    dropped = browser.script(SHARES)
    assert dropped != before
    assert (
        browser.script("return document.querySelector('.token:nth-of-type(3)').ariaLabel")
        == "waves, dropped"
    )
    browser.script("document.querySelector('.token:nth-of-type(3)').focus()")
    browser.press("delete")
    assert browser.script(SHARES) == before
    browser.press("right", "delete")
    assert browser.text("#undo") == "Undo: 1 dropped"
    browser.script("document.querySelector('#undo').click()")
    assert browser.script(SHARES) == before
    assert browser.script("return document.querySelector('#undo').hidden")


def tip(browser, kind, dial=1):
    return browser.script(
        "const e = document.querySelector(arguments[0]); e.scrollIntoView({block: 'center'});"
        "const b = e.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]",
        f".dial:nth-child({dial}) .{kind}.tip",
    )


@pytest.mark.parametrize("kind", ["mouse", "touch"])
def test_a_dragged_arrow_changes_the_answer(page, browser, kind):
    page(SENTENCES[0])
    before, dials = browser.script(SHARES), browser.text("#phasors")
    x, y = tip(browser, "first")
    browser.drag([(x, y), (x + 4, y + 2), (x + 12, y + 6)], kind=kind)
    assert browser.script(SHARES) != before
    assert browser.text("#phasors") == dials  # each where it was
    assert browser.text("#undo") == "Undo: moved arrows"
    marks = browser.script(
        "return [...document.querySelectorAll('.before')].map(e => parseFloat(e.style.left))"
    )
    assert marks == pytest.approx(before, abs=0.06)
    browser.script("document.querySelector('#undo').click()")
    assert browser.script(SHARES) == before
    assert browser.console() == []


def test_turning_keeps_the_magnitude_and_stretching_the_phase(page, browser):
    page(SENTENCES[0])
    values = (
        "return [...document.querySelectorAll('#sliders span')].map(e => parseFloat(e.textContent))"
    )
    move = (
        "const s = document.querySelectorAll('#sliders input')[arguments[0]];"
        "s.value = Number(s.value) * arguments[1];"
        "for (const name of ['input', 'change']) s.dispatchEvent(new Event(name))"
    )
    browser.hover(".token:nth-of-type(1)", click=True)  # [CLS], whose phases the network reads
    shares, before = browser.script(SHARES), browser.script(values)
    browser.script(move, 1, 0.9)
    turned = browser.script(values)
    assert turned == pytest.approx([before[0], 0.9 * before[1], *before[2:]], rel=0.01)
    assert browser.script(SHARES) != shares
    browser.script(move, 2, 1.5)
    assert browser.script(values) == pytest.approx(
        [*turned[:2], 1.5 * turned[2], turned[3]], rel=0.01
    )


def test_the_answer_comes_first_and_the_waves_follow(page, browser):
    page(SENTENCES[0])
    before = browser.text("#phasors")
    browser.script(
        "const t = document.querySelector('#text'); t.value = arguments[0];"
        "t.dispatchEvent(new Event('input'));"
        "requestAnimationFrame(() => { window.seen = ['#tokens', '#phasors'].map("
        "id => document.querySelector(id).textContent); })",
        SENTENCES[2],
    )
    wait(browser, f"return document.querySelector('#phasors').textContent !== {before!r}")
    tokens, dials = browser.script("return window.seen")
    assert tokens == browser.text("#tokens")
    assert dials == before


def test_tokens_are_those_of_the_text_however_it_changes(page, browser):
    page(SENTENCES[0])
    everything = "return document.querySelector('#tokens').outerHTML"
    for text in ["", SENTENCES[2], SENTENCES[2][5:], "sea", SENTENCES[3], SENTENCES[1]]:
        type_text(browser, text)
        typed = browser.script(everything)
        page(text)
        assert browser.script(everything) == typed


def test_gradients_stay_inside_their_dials(page, browser):
    outermost = (
        "return Math.max(...[...document.querySelectorAll('.pull.head, .handle')].filter("
        "e => e.getAttribute('visibility') !== 'hidden').map(e => Math.hypot("
        "e.getAttribute('cx'), e.getAttribute('cy')) + (e.matches('.head') ? 2 : 0)))"
    )
    page(SENTENCES[0])
    for place in range(1, 6):
        browser.hover(f".token:nth-of-type({place})", click=True)
        assert 33 < browser.script(outermost) <= 46.01  # the rim
        assert float(browser.text("#longest-pull")) > 0


def test_counts_have_the_number_of_their_nouns(page, browser):
    page("")
    assert "by the own weights of 1 token (" in browser.text("#class-numbers")
    for words, cut in ((63, "1 piece was not read"), (64, "2 pieces were not read")):  # of 62
        type_text(browser, "sea " * words)
        assert cut in browser.text("#note")


def test_a_class_can_be_explained_and_the_link_holds_it(page, browser, exported):
    page()
    type_text(browser, "high hills & sea")
    predicted = exported[1].predict("high hills & sea").label
    assert browser.text("#explained") == predicted
    other = next(i for i, label in enumerate(LABELS) if label != predicted)
    browser.hover(f".class:nth-child({other + 1})", click=True)
    assert browser.text("#explained") == LABELS[other]
    assert LABELS[other] in browser.text("#class-numbers")
    wait(browser, "return location.hash.includes('class')")
    link = browser.script("return location.href")
    browser.open(link.removeprefix("file://").replace("?", "?again"))
    wait(browser, READY)
    assert browser.script("return document.querySelector('#text').value") == "high hills & sea"
    assert browser.text("#explained") == LABELS[other]


def test_examples_start_from_a_text(page, browser):
    page()
    texts = browser.script(
        "return [...document.querySelectorAll('#examples button')].map(e => e.textContent)"
    )
    assert sorted(texts) == sorted(SENTENCES)
    for number in (2, 3):
        browser.hover(f"#examples button:nth-of-type({number})", click=True)
        assert browser.script("return document.querySelector('#text').value") == texts[number - 1]


def test_formulas_have_the_numbers_of_the_dial(page, browser):
    page(SENTENCES[0])
    browser.hover(".dial:nth-child(3)")
    name = browser.text(".dial:nth-child(3)")
    assert browser.text("#dial-name").endswith(f", {name}")
    shown = browser.text("#formulas").replace("\u2212", "-")
    found = re.search(
        r"Z = G e\^\(iα\) = ([\d.e-]+)\u2009e\^\(([\d.e-]+)\u2009i\) = u \+ i r = (-?[\d.e-]+)",
        shown,
    )
    size, angle, real = map(float, found.groups())
    assert real == pytest.approx(size * np.cos(angle), abs=0.02 * size)  # three digits
    browser.hover(".token:nth-of-type(3)")
    assert re.search(r"without it the margin would be", browser.text("#tokens-numbers"))
    browser.hover(".class:nth-child(2)")
    assert "by the waves" in browser.text("#class-numbers")


def test_the_gradients_paths_are_drawn_when_scrolled_to(page, browser):
    page(SENTENCES[0])
    browser.script("document.querySelector('#h-maps').scrollIntoView()")
    wait(browser, "return document.querySelector('#phase-share').textContent !== ''")
    shares = [float(browser.text(f"#{name}-share").split()[0]) for name in ("magnitude", "phase")]
    assert sum(shares) == pytest.approx(100, abs=0.11)
    colours = (
        "return [...document.querySelectorAll('figure canvas')].map(c => new Set("
        "c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size)"
    )
    assert min(browser.script(colours)) > 2
    browser.hover("#map-phase-path", 0.5, 0.5)
    assert re.search(r", dimension \d+: phase path", browser.text("#map-phase-path + output"))
    browser.script("document.querySelector('#numbers summary').click()")
    wait(browser, "return document.querySelectorAll('#table tr').length > 1")
    rows = browser.script("return document.querySelectorAll('#table tr').length")
    assert rows == 1 + len(browser.script(TOKENS))


def test_the_keyboard_reaches_everything(page, browser):
    page(SENTENCES[0])
    browser.script("document.querySelector('#text').focus()")
    seen = []
    for _ in range(30):
        browser.press("tab")
        seen.append(browser.script("const e = document.activeElement; return e.id || e.className"))
    for name in ("class", "of-choice", "token", "dial", "variant-choice", "map-phase-path"):
        assert any(name in each.split() for each in seen), name
    unnamed = browser.script(
        "return [...document.querySelectorAll('button, select, input, textarea')].filter(e => "
        "!(e.labels?.length || e.ariaLabel || e.textContent.trim())).map(e => e.outerHTML)"
    )
    assert unnamed == []


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_needs_no_sideways_scrolling_in_light_and_dark(page, browser, dark):
    page(SENTENCES[3] + " " + "x" * 300, width=390, height=844, dark=dark, phone=True)
    assert browser.script("return document.documentElement.scrollWidth") <= 390
    back = browser.script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", back))) < 3 * 60) == dark
    assert browser.console() == []


# What counts is the time that the thread computes, so that waiting for a busy machine does not;
# sharing its cores and caches still makes it up to twice as long, hence the least of three. It is
# 12 to 18 ms, of which 5 are the browser's own: 50 is what the page promises, not what it takes.
@pytest.mark.parametrize("repeats", [1, 3])  # 16 and 48 words, with runs and beginnings 60 and 190
def test_a_keystroke_is_drawn_within_50_ms(page, browser, repeats):
    page(SENTENCES[0])
    text = " ".join(SENTENCES[:2] * repeats)
    spent = []
    for _ in range(3):
        start = browser.busy()
        for length in range(len(text) - 10, len(text)):
            type_text(browser, text[:length])
            browser.script(NEXT_FRAME)  # in which the waves follow
        spent.append((browser.busy() - start) / 10)
    assert min(spent) < 0.05
