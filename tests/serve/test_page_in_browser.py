"""The page in a real browser: sliders answer, words are text, and two recipes can be swiped."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from browsing import browsing, needs_browser, wait

pytestmark = needs_browser


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    command = [sys.executable, "-m", "ovsskit", "serve", "naclip_tiny", "--port", "0"]
    command += ["--against", "clearclip_tiny", "--limit", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


@pytest.fixture
def page(address: str) -> Iterator[object]:
    with browsing(address) as found:
        yield found


READY = "document.body.dataset.state === 'ready' && state.found.every(Boolean)"
TINTED = (
    "const c = layers[0]; "
    "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; "
    "let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n;"
)


def set_range(page, name: str, value: float) -> None:
    page.execute_script(
        "const one = document.getElementById(arguments[0]); one.value = arguments[1];"
        "one.dispatchEvent(new Event('input'));",
        name,
        value,
    )


def test_a_slider_changes_what_is_found_and_reset_brings_it_back(page) -> None:
    wait(page, READY)
    before = page.execute_script("return state.found[0].ranks")
    assert page.execute_script(TINTED) > 0
    [name] = page.execute_script(
        "return data.recipes[0].parameters.filter(one => !one.choices.length)"
        ".map(one => `parameter-${one.address}`).slice(0, 1)"
    )
    low, high, present = page.execute_script(
        "const one = document.getElementById(arguments[0]);"
        "return [Number(one.min), Number(one.max), Number(one.value)]",
        name,
    )
    set_range(page, name, low if present - low > high - present else high)
    wait(page, "!busy && again === null")
    after = page.execute_script("return state.found[0].ranks")
    assert after != before
    page.execute_script("document.getElementById('reset').click()")
    wait(page, "!busy && again === null")
    assert page.execute_script("return state.found[0].ranks") == before


def test_words_are_text_whatever_they_are(page) -> None:
    wait(page, READY)
    word = "<script>document.title = 1</script>"
    page.execute_script(
        "const one = document.getElementById('words'); one.value = arguments[0];"
        "one.dispatchEvent(new Event('input'));",
        f"dog, {word}, grass",
    )
    wait(page, "state.found[0] && document.getElementById('legend').textContent.length > 0")
    wait(page, "!busy && again === null")
    assert page.title.startswith("naclip")
    assert page.execute_script("return document.querySelectorAll('#legend script').length") == 0


def test_two_recipes_are_swiped(page) -> None:
    wait(page, READY)
    set_range(page, "swipe", 20)
    first, second = page.execute_script("return layers.map(one => one.style.clipPath)")
    assert first == "inset(0px 80% 0px 0px)"
    assert second == "inset(0px 0px 0px 20%)"


def test_a_class_can_be_hidden(page) -> None:
    wait(page, READY)
    before = page.execute_script(TINTED)
    page.execute_script(
        "[...document.querySelectorAll('#legend .row')]"
        ".find(one => one.textContent.indexOf('background') !== 0).click()"
    )
    assert page.execute_script(TINTED) < before


def test_the_page_fits_a_phone(page) -> None:
    page.set_window_size(500, 900)
    wait(page, READY)
    wide = page.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 1
