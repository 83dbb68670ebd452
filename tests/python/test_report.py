"""Reports in a real browser: what is drawn, clicked, read out and saved, and that names stay names.

REPORT_CASES is the example of that name, which writes the reports. Chromium and its driver are looked for on PATH
(Debian: `apt-get install chromium chromium-driver`); without them all of this is skipped, and says so.
"""

import csv
import io
import os
import shutil
import subprocess
import time

import pytest

PROGRAM = os.environ.get("REPORT_CASES", "")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

if not PROGRAM:
    pytest.skip("SKIPPED: REPORT_CASES names no program", allow_module_level=True)
if not (CHROMIUM and DRIVER):
    pytest.skip("SKIPPED: chromium and chromedriver are not both on PATH", allow_module_level=True)
webdriver = pytest.importorskip("selenium.webdriver", reason="SKIPPED: selenium is not installed")

from selenium.webdriver import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """A folder of reports. What comes out of a command later goes through the same tests."""
    folder = tmp_path_factory.mktemp("reports")
    subprocess.run([PROGRAM, folder, "20000", "5"], check=True)
    return folder


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    # Root may not use the sandbox; the pages are our own.
    for argument in ["headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "window-size=1400,1000"]:
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


class Page:
    """A report that is open."""

    def __init__(self, browser, path):
        self.browser = browser
        browser.get(f"file://{path}")
        self.wait("document.documentElement.dataset.ready === 'yes'")

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def wait(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not self.run(f"return {condition}"):
            assert time.monotonic() < end, f"not within {seconds} s: {condition}"
            time.sleep(0.02)

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def map(self):
        canvas = self.find(".canvas-box canvas")
        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", canvas)
        return canvas

    def drawn(self, *places):
        """Colours of the first map at places of its slice, once what was asked for is drawn."""
        return self.run(
            """
            const [figure] = figures;
            figure.draw();
            const {canvas} = figure.maps[0];
            return arguments[0].map((place) => {
              const [x, y] = figure.view.toScreen(place).map((v) => Math.round(v * figure.ratio));
              return [...canvas.getContext('2d').getImageData(x, y, 1, 1).data.slice(0, 3)];
            });
            """,
            places,
        )

    def point_at(self, place):
        """Moves the pointer to a place of the first slice."""
        canvas = self.map()
        x, y = self.run("return figures[0].view.toScreen(arguments[0])", place)
        w, h = canvas.size["width"], canvas.size["height"]
        chain = ActionChains(self.browser).move_to_element_with_offset(canvas, round(x - w / 2), round(y - h / 2))
        chain.perform()
        return chain

    def reading(self):
        return self.run("return document.getElementById('reading').textContent")

    def complaints(self):
        return [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] != "INFO"]


@pytest.fixture
def plain(browser, reports):
    browser.get_log("browser")
    page = Page(browser, reports / "plain.html")
    # Without the tissue beneath, colours are those of the palette.
    page.run("state.pictureOpacity = 0; state.spotOpacity = 1;")
    yield page
    # Reading pixels back, which only this test does, makes Chromium suggest another kind of canvas.
    assert [text for text in page.complaints() if "willReadFrequently" not in text] == []


RIM, CORE = [0, 0], [1400, 1400]
ORANGE, GREEN = [230, 159, 0], [0, 158, 115]


def test_domains_are_drawn_in_their_colours_and_named(plain):
    assert plain.drawn(RIM, CORE) == [ORANGE, GREEN]
    labels = plain.run("return figures[0].labels(0).map(([spot, text]) => text).sort()")
    assert labels == ["core", "rim", "shell"]
    code = plain.run("return figures[1].labels(0).map(([i]) => loaded.get(0)[figures[1].slice.start + i]).sort()")
    assert code == [0, 1, 2], "a name lies on a spot of its domain"


def test_places_and_values_come_back(plain):
    place = plain.run("return figures[0].slice.place(figures[0].slice.nearest([1300, 700], 10))")
    assert place == pytest.approx([1300, 700], abs=0.05)
    assert plain.run("return figures.map((f) => f.slice.n)") == [900, 400]


def test_the_legend_hides_isolates_and_restores(plain):
    rim, shell, core = plain.all("#legends .toggle")
    rim.click()
    assert rim.get_attribute("aria-pressed") == "false"
    assert plain.drawn(RIM, CORE) == [[255] * 3, GREEN]
    rim.send_keys(Keys.ENTER)
    assert plain.drawn(RIM, CORE) == [ORANGE, GREEN]
    ActionChains(plain.browser).double_click(rim).perform()
    pressed = [button.get_attribute("aria-pressed") for button in (rim, shell, core)]
    assert pressed == ["true", "false", "false"]
    assert plain.drawn(RIM, CORE) == [ORANGE, [255] * 3]
    plain.run("[...document.querySelectorAll('#legends .tools button')].at(-1).click()")
    assert plain.drawn(RIM, CORE) == [ORANGE, GREEN]


def test_maps_are_coloured_by_a_gene_that_is_searched_for(plain):
    search = plain.find("#search")
    search.send_keys("core1", Keys.ENTER)
    plain.wait("state.shown[0] === 3 && loaded.has(3)")
    assert plain.find("#color-by").get_attribute("value") == "3"
    # Magma: black where there is none.
    assert plain.drawn(RIM) == [[0, 0, 4]]
    assert plain.drawn(CORE)[0] != [0, 0, 4]
    assert "log counts" in plain.find("#legends").text


def test_two_columns_stand_side_by_side(plain):
    plain.run("const list = document.getElementById('color-by-2'); list.value = '1'; list.dispatchEvent(new Event('change'))")
    plain.wait("figures[0].maps.length === 2 && loaded.has(1)")
    captions = [element.text for element in plain.all(".slice:first-child .map-name")]
    assert captions == ["domains", "truth"]
    plain.run("figures[0].change(() => figures[0].view.zoomBy(2))")
    sizes = plain.run("return figures[0].maps.map((m) => m.canvas.width)")
    assert sizes[0] == sizes[1]


def test_a_spot_under_the_pointer_is_read_out(plain):
    plain.point_at(CORE)
    plain.wait("document.getElementById('reading').textContent.includes('core')")
    text = plain.reading()
    assert text.startswith("first-434"), "spot 14 of row 14, of 30"
    assert "slice first" in text and "probability 0.800" in text


def test_a_click_chooses_the_domain_and_opens_its_panel(plain):
    plain.point_at(CORE).click().perform()
    plain.wait("state.selected === 2")
    assert [panel.is_displayed() for panel in plain.all("section.domain")] == [False, False, True]
    assert plain.find(".domain-list [aria-current]").text == "core"
    assert "112 spots" in plain.find("#chosen").text
    # The others pale.
    rim, core = plain.drawn(RIM, CORE)
    assert core == GREEN and min(rim) > 190
    plain.point_at(CORE).click().perform()
    plain.wait("state.selected === null")


def test_everything_is_done_by_keyboard(plain):
    canvas = plain.map()
    plain.run("arguments[0].focus()", canvas)
    canvas.send_keys(Keys.ARROW_RIGHT)
    plain.wait("figures[0].cursor >= 0 && document.getElementById('reading').textContent !== ''")
    before = plain.run("return figures[0].slice.place(figures[0].cursor)")
    canvas.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    after = plain.run("return figures[0].slice.place(figures[0].cursor)")
    assert after == pytest.approx([before[0] + 100, before[1] + 100], abs=0.1)
    canvas.send_keys("+")
    assert plain.run("return figures[0].view.zoom") == pytest.approx(1.6)
    canvas.send_keys("0", Keys.ENTER)
    plain.wait("state.selected !== null")
    canvas.send_keys(Keys.ESCAPE)
    plain.wait("state.selected === null")
    link = plain.all(".domain-list a")[1]
    link.send_keys(Keys.ENTER)
    assert plain.run("return document.activeElement.textContent").strip() == "shell"


def test_the_wheel_zooms_where_the_pointer_is(plain):
    plain.point_at(CORE)
    canvas = plain.map()
    time.sleep(0.4)
    before = plain.run("return figures[0].view.toScreen([1400, 1400])")
    origin = webdriver.common.actions.wheel_input.ScrollOrigin.from_element(
        canvas, round(before[0] - canvas.size["width"] / 2), round(before[1] - canvas.size["height"] / 2)
    )
    ActionChains(plain.browser).scroll_from_origin(origin, 0, -200).perform()
    plain.wait("figures[0].view.zoom > 1.2")
    assert plain.run("return figures[0].view.toScreen([1400, 1400])") == pytest.approx(before, abs=2)


def test_a_table_is_sorted_and_saved_with_all_digits(plain):
    plain.run(
        """
        window.saved = [];
        const make = URL.createObjectURL;
        URL.createObjectURL = (blob) => { blob.text().then((text) => saved.push(text)); return make.call(URL, blob); };
        openPanel(2);
        """
    )
    table = plain.find("#domain-2 table")
    gene, change, *_, p, _auc, _slices = table.find_elements(By.CSS_SELECTOR, ".sort")
    assert "CORE1" in table.find_elements(By.CSS_SELECTOR, "tbody th")[0].text
    change.click()
    change.click()
    assert change.find_element(By.XPATH, "..").get_attribute("aria-sort") == "ascending"
    assert plain.run("return document.activeElement.textContent").startswith("log2 FC")
    first = table.find_elements(By.CSS_SELECTOR, "tbody th")[0]
    assert first.text == "G213"
    p.click()
    assert table.find_elements(By.CSS_SELECTOR, "tbody th")[0].text == "CORE1"
    shown = [row for row in table.find_elements(By.CSS_SELECTOR, "tbody tr") if row.is_displayed()]
    assert len(shown) == 10
    plain.run("document.querySelector('#domain-2 .table .csv').click()")
    plain.wait("saved.length === 1")
    rows = list(csv.DictReader(io.StringIO(plain.run("return saved[0]"))))
    assert len(rows) == 14
    assert rows[0]["gene"] == "CORE1" and float(rows[0]["p adjusted"]) == 1e-20 and rows[0]["slices"] == "2 of 2"
    gene.click()


def test_a_gene_in_a_table_colours_the_maps(plain):
    plain.run("openPanel(2); document.querySelector('#domain-2 .gene').click()")
    plain.wait("state.shown[0] === 3")


def test_print_shows_all_panels_and_rows_and_no_controls(plain):
    plain.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert all(panel.is_displayed() for panel in plain.all("section.domain"))
        assert all(row.is_displayed() for row in plain.all("#domain-2 tbody tr"))
        assert not any(element.is_displayed() for element in plain.all(".controls, .map-tools, .csv, #map-help"))
        assert plain.find(".canvas-box canvas").is_displayed()
    finally:
        plain.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_headings_descend_one_step_at_a_time_and_pictures_have_words(plain):
    levels = plain.run(
        "return [...document.querySelectorAll('h1, h2, h3, h4')].map((h) => Number(h.tagName[1]))"
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:]))
    assert plain.run("return [...document.images].every((image) => image.hidden || image.alt !== '')")
    unnamed = plain.run(
        "return [...document.querySelectorAll('button, select, input')]"
        ".filter((e) => !e.textContent.trim() && !e.ariaLabel && !e.labels?.length).length"
    )
    assert unnamed == 0


def test_text_has_contrast(plain):
    worst = plain.run(
        """
        const light = (c) => {
          const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
            .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        let worst = 21;
        for (const e of document.querySelectorAll('body *')) {
          if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
          if (e.tagName === 'SCRIPT' || e.classList.contains('only')) continue;
          let at = e;
          while (at && getComputedStyle(at).backgroundColor === 'rgba(0, 0, 0, 0)') at = at.parentElement;
          const [a, b] = [light(getComputedStyle(e).color), at ? light(getComputedStyle(at).backgroundColor) : 1];
          worst = Math.min(worst, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
        }
        return worst;
        """
    )
    assert worst >= 4.5


def test_hostile_names_are_only_names(browser, reports):
    browser.get_log("browser")
    page = Page(browser, reports / "hostile.html")
    assert page.run("return window.struck ?? null") is None
    # Our own scripts, data and blocks, and nothing else; no picture but those that were put there.
    kinds = page.run("return [...document.scripts].map((s) => s.type)")
    assert kinds.count("") == 4 and kinds.count("application/json") == 1
    assert page.run("return [...document.images].every((image) => image.src.startsWith('data:image/'))")
    assert page.run("return [...document.querySelectorAll('*')].every((e) => e.getAttributeNames().every((a) => !a.startsWith('on')))")
    # Every column, every domain, and some spots are shown and read.
    page.run("window.done = 0; (async () => { for (const k of data.columns.keys()) { await show(0, k); select(k % 11); await figures[0].read(k, true); } window.done = 1; })()")
    page.wait("window.done === 1")
    assert page.run("return window.struck ?? null") is None
    long = page.run("return [...document.querySelectorAll('bdi[title]')].filter((e) => e.title.length >= 10000).length")
    assert long > 0, "what is shortened is whole in the tooltip"
    assert page.run("return Math.max(...[...document.querySelectorAll('bdi')].map((e) => e.textContent.length))") <= 1200
    assert page.run("return document.documentElement.scrollWidth <= innerWidth + 1"), "nothing sticks out of the page"
    page.run("window.saved = null; save = (blob) => blob.text().then((text) => { window.saved = text; }); document.querySelector('.csv').click()")
    page.wait("window.saved !== null")
    assert any(row[0].startswith("'=HYPERLINK") for row in csv.reader(io.StringIO(page.run("return saved"))))
    assert page.complaints() == []


def test_a_report_of_the_least_there_is(browser, reports):
    browser.get_log("browser")
    page = Page(browser, reports / "bare.html")
    assert page.run("return figures.length") == 2
    assert "This slice has no spots." in page.find("main").text
    assert "not drawn: 1" in page.find("main").text
    assert [heading.text for heading in page.all("h2")] == ["Maps"]
    assert page.complaints() == []


def test_many_spots_are_drawn_as_most_of_each_pixel_are(browser, reports):
    browser.get_log("browser")
    page = Page(browser, reports / "large.html")
    # So far out that spots share pixels: by domain and by number.
    for k in (0, 1):
        page.run("window.done = 0; show(0, arguments[0]).then(() => { window.done = 1; })", k)
        page.wait("window.done === 1")
        page.run("const [f] = figures; f.view.zoom = 0.25; f.draw()")
        n = page.run(
            "const c = figures[0].maps[0].canvas;"
            "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
            "let n = 0; for (let i = 0; i < d.length; i += 4) n += d[i] !== 255 || d[i + 1] !== 255; return n"
        )
        assert n > 1000
