"""The page: its content, and how it behaves in a browser."""

import json
import re

import numpy as np
import pytest

from tests.probe.fabricated import fabricate
from wave_jax.probe.page import render_page

TOKENS = ["[CLS]", "<b>", "wave", "##s", "meet", "&amp;", "[SEP]"]
HOSTILE = "</script><script>document.title='broken'</script><img src=x onerror=alert(1)> & <!--"
MOST_BYTES = 2_000_000


def embedded(page):
    """The data that the page's script reads."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(found[1])


def test_no_text_can_leave_its_place():
    page = render_page([fabricate([*TOKENS[:-1], HOSTILE], 8, text=HOSTILE)])
    assert page.count("<script") == 2
    assert page.count("</script>") == 2
    assert "<img" not in page
    data = embedded(page)
    assert data[0]["text"] == HOSTILE
    assert data[0]["tokens"][-1] == HOSTILE
    assert data[0]["label"] == "<i>land</i>"


def test_nothing_is_fetched():
    page = render_page([fabricate(TOKENS, 8)])
    links = set(re.findall(r"https?://[^\"' ]+", page))
    assert links == {"http://www.w3.org/2000/svg"}  # a name, not an address to be fetched
    assert "default-src &#x27;none&#x27;" in page


@pytest.mark.parametrize(("layers", "ops"), [(1, 1), (3, 2)])
def test_128_tokens_of_768_dimensions_stay_below_2_mb(layers, ops):
    names = ("modulation", "interference")[:ops]
    probed = fabricate(["token"] * 128, 768, layers=layers, ops=names, sentences=ops == 2)
    page = render_page([probed])
    assert len(page.encode()) < MOST_BYTES
    kept = [len(layer["order"]) for layer in embedded(page)[0]["layers"]]
    assert kept == [768] if layers == 1 else min(kept) > 64


def test_several_texts_share_the_room():
    page = render_page([fabricate(["token"] * 128, 768)] * 4)
    assert len(page.encode()) < MOST_BYTES
    assert len(embedded(page)) == 4


def test_the_most_influential_dimensions_come_first():
    probed = fabricate(TOKENS, 40)
    total = sum(v.total[0].astype(float) ** 2 for v in probed.result.gradients.layers[0].variants)
    order = embedded(render_page([probed]))[0]["layers"][0]["order"]
    influence = np.sqrt(total).sum(axis=0)[order]
    assert (np.diff(influence) <= 0).all()


@pytest.fixture(scope="module")
def probed():
    return fabricate(TOKENS, 40, text=HOSTILE, ops=("interference", "modulation"), layers=2)


@pytest.fixture
def page(probed, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(render_page([probed]), encoding="utf-8")
    return path


def test_it_loads_without_a_word_on_the_console(browser, page):
    browser.console()
    browser.open(page)
    assert browser.console() == []
    assert browser.text("h1") == "Gradients through magnitude and phase"
    painted = browser.script(
        "return [...document.querySelectorAll('figure canvas')].map(c => {"
        "  const data = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "  return new Set(data).size })"
    )
    assert len(painted) == 5
    assert all(colours > 2 for colours in painted)


def test_markup_in_texts_shows_as_text(browser, page):
    browser.open(page)
    assert browser.text("#text") == HOSTILE
    assert browser.script("return document.title").startswith("Gradients: </script>")
    shown = browser.script(
        "return [...document.querySelectorAll('.token')].map(t => t.textContent)"
    )
    assert shown == TOKENS
    assert browser.script("return document.querySelectorAll('#tokens b, img').length") == 0
    assert "<i>land</i>" in browser.text("#answer")


def test_choosing_a_token_changes_what_is_shown(browser, page):
    browser.open(page)
    state = (
        "const at = (selector) => document.querySelector(selector); return ["
        "at('h2 .chosen').textContent, at('#phasors').innerHTML, at('#map-phase').toDataURL()]"
    )
    browser.hover(".token:nth-child(3)", click=True)
    third = browser.script(state)
    browser.hover(".token:nth-child(5)", click=True)
    fifth = browser.script(state)
    assert (third[0], fifth[0]) == ("wave", "meet")
    assert all(a != b for a, b in zip(third, fifth, strict=True))
    chosen = browser.script("return document.querySelectorAll('[aria-selected=true]').length")
    assert chosen == 1


def test_the_keyboard_reaches_everything(browser, page):
    browser.open(page)
    browser.script("document.querySelector('.token').focus()")
    browser.press("right", "right")
    assert browser.text("h2 .chosen") == "wave"
    outline = browser.script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    seen = []
    for _ in range(12):
        browser.press("tab")
        seen.append(browser.script("return document.activeElement.id || "
                                   "document.activeElement.className"))  # fmt: skip
    assert seen[0] == "dial"
    for name in ("variant-choice", "map-phase", "map-d-phase", "map-wave", "coupling-imag"):
        assert name in seen
    browser.script("document.querySelector('#map-phase').focus()")
    browser.press("right", "down")
    assert browser.text("#map-phase + output").startswith("<b>, dimension ")


def test_hovering_tells_the_numbers(browser, page, probed):
    browser.open(page)
    layer = probed.result.gradients.layers[0]
    order = embedded(page.read_text())[0]["layers"][0]["order"]
    # Row 2 of 7, the middle of column 10 of 40; the names of the rows take 74 pixels.
    width = browser.script("return document.querySelector('#map-phase').clientWidth")
    x = (74 + (width - 74) * 10.5 / 40) / width
    expected = {
        "phase": (layer.variants[0].phase[0, 2, order[10]], "map-phase"),
        "dL/dα": (layer.variants[0].d_phase[0, 2, order[10]], "map-d-phase"),
    }
    for name, (value, place) in expected.items():
        browser.hover(f"#{place}", x, 2.5 / 7)
        shown = browser.text(f"#{place} + output")
        assert shown.startswith(f"wave, dimension {order[10]}: {name} ")
        number = float(re.search(name + r" ([+−\d.e]+)", shown)[1].replace("−", "-"))
        assert number == pytest.approx(float(value), rel=6e-3, abs=1e-9)  # three digits are shown
    browser.hover("#phasors .dial:nth-child(2)")
    assert re.fullmatch(
        r"dimension \d+: variant 1 magnitude .* rad; variant 2 .* rad; interference .* rad; "
        r"influence .*",
        browser.text("#phasors-numbers"),
    )
    browser.hover(".token:nth-child(4)")
    assert browser.text("#tokens-numbers").startswith("##s: integrated gradients ")
    browser.hover("#coupling-real", 0.5, 0.5)
    assert "the wave of ##s (row 3) by" in browser.text("#coupling-real + output")


def test_arrows_stay_inside_their_dials(browser, page):
    browser.open(page)
    reach = (
        "return Math.max(...[...document.querySelectorAll('.dial .tip')]"
        ".map(t => Math.hypot(t.cx.baseVal.value, t.cy.baseVal.value) + t.r.baseVal.value))"
    )
    assert 40 < browser.script(reach) <= 46  # the rim's radius


def test_the_choices_change_the_pictures(browser, page):
    browser.open(page)
    picture = "return document.querySelector(arguments[0]).toDataURL()"
    colours = "return [...document.querySelectorAll('.token')].map(t => t.style.backgroundColor)"
    choose = (
        "const s = document.querySelector(arguments[0]); s.value = arguments[1];"
        "s.dispatchEvent(new Event('change'))"
    )
    for control, value, place in (
        ("#variant-choice", "1", "#map-phase"),
        ("#part-choice", "magnitude", "#map-wave"),
        ("#operation-choice", "modulation", "#coupling-real"),
        ("#layer-choice", "1", "#map-d-phase"),
    ):
        before = browser.script(picture, place)
        browser.script(choose, control, value)
        assert browser.script(picture, place) != before, control
    before = browser.script(colours)
    for measure in ("magnitude", "phase", "product", "gradient", "integrated"):
        browser.script(choose, "#measure-choice", measure)
        after = browser.script(colours)
        assert after != before, measure
        before = after


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_needs_no_sideways_scrolling_in_light_and_dark(browser, page, dark):
    browser.open(page, width=390, height=844, dark=dark, phone=True)
    assert browser.script("return document.documentElement.scrollWidth") <= 390
    back = browser.script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", back))) < 3 * 60) == dark
    assert browser.console() == []


def test_a_large_page_reacts_within_a_second(browser, tmp_path):
    path = tmp_path / "large.html"
    path.write_text(render_page([fabricate(["token"] * 128, 768)]), encoding="utf-8")
    browser.open(path)
    seconds = browser.script(
        "const t = performance.now(); document.querySelectorAll('.token')[9].click();"
        "return (performance.now() - t) / 1000"
    )
    assert seconds < 1
