"""The gallery in a real browser: divider, zoom in step, filter, sort, themes, phone; nothing asked of the network."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from filters.degradation.synthesis import gaussian_blur, jpeg
from pipelines.studies.gallery import gallery_of
from tests.browser import visit
from training.evaluation.benchmarks import load_benchmark
from training.evaluation.gallery import _policy
from training.evaluation.methods import Method
from training.evaluation.metrics import metric_spec
from training.evaluation.results import NoEvaluation, write_results
from training.evaluation.score import evaluate
from training.evaluation.tiny_benchmark import tiny_benchmark

HOSTILE = "<img src=x onerror=alert(1)>"
METHODS = ["bicubic", HOSTILE, "blurred"]
METRICS = ["PSNR", "PIQE"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six images; `blurred` is the HR blurred more from image to image, the hostile one is the HR as JPEG."""
    base = tmp_path_factory.mktemp("gallery")
    tiny = tiny_benchmark(base / "tiny", crops=2, hr_px=96)
    for index, item in enumerate(tiny.items):
        hr = np.array(Image.open(item.hr))
        for name, pixels in (("b", gaussian_blur(hr, 0.5 + index)), ("j", jpeg(hr, 90))):
            (base / name).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(base / name / f"{item.name}.png")
    methods = [
        Method(name="bicubic", kind="bicubic"),
        Method(name=HOSTILE, kind="folder", folder=str(base / "j")),
        Method(name="blurred", kind="folder", folder=str(base / "b")),
    ]
    done = evaluate([tiny], methods, [metric_spec(name) for name in METRICS], base / "out")
    write_results(
        done,
        base / "out",
        name="six </script> images",
        methods=METHODS,
        metrics=METRICS,
        deltas={"blurred": "bicubic"},
    )
    (base / "log.csv").write_text(
        "epoch,reward_faith,eval_reward_faith\n"
        + "".join(f"{e},{e / 10},{e / 9}\n" for e in range(9))
    )
    (base / "separability.csv").write_text(
        "rollouts,measure,diffusionnft,lucidnft\n2,gap,,1.5\n4,gap,0.5,2\n8,gap,0.7,2.6\n"
    )
    gallery_of(base / "out", training_log=base, separability=base / "separability.csv")
    return base


@pytest.fixture(scope="module")
def page(folder):
    return folder / "out" / "gallery" / "index.html"


def test_the_page_is_static_forbids_everything_else_and_escapes_names(page):
    text = page.read_text()
    assert HOSTILE not in text
    assert "six &lt;/script&gt; images" in text
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text).group(1)
    assert policy.startswith("default-src &#39;none&#39;; script-src &#39;sha256-")
    assert "connect-src" not in policy and "unsafe-inline" in policy.split("style-src")[1]
    assert text.count("<script") == 2
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))
    files = [file for item in data["items"] for file in item["files"].values()]
    # LR, HR and three methods of six images, and a map of departures beside each method.
    pictures = [file for file in files if "__departures" not in file]
    assert len(pictures) == 6 * 5 and len(files) == 6 * (5 + 3)
    assert all((page.parent / file).is_file() and not file.startswith("/") for file in files)


def test_pictures_are_shown_without_loss_up_to_half_a_megapixel(folder, page):
    data = json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL).group(1))
    item = data["items"][0]
    shown = np.array(Image.open(page.parent / item["files"]["blurred"]))
    scored = np.array(Image.open(folder / "b" / f"{item['name']}.png"))
    np.testing.assert_array_equal(shown, scored)


def test_a_second_gallery_writes_no_picture_again(folder, page):
    stamps = {file: file.stat().st_mtime_ns for file in page.parent.rglob("*.webp")}
    gallery_of(folder / "out")
    assert {file: file.stat().st_mtime_ns for file in page.parent.rglob("*.webp")} == stamps
    gallery_of(folder / "out", training_log=folder, separability=folder / "separability.csv")


def test_a_folder_without_an_evaluation_says_how_to_make_one(tmp_path):
    with pytest.raises(NoEvaluation, match="run `lucidlr evaluate"):
        gallery_of(tmp_path)


def test_the_policy_names_the_script_by_its_hash():
    assert _policy("a") != _policy("b")


def test_the_table_of_datasets_has_the_papers_rows_and_what_was_measured(folder, small_build):
    gallery_of(folder / "out", dataset=small_build / "dataset")
    lines = (folder / "out" / "tables" / "datasets.md").read_text().splitlines()
    rows = {
        line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]]
        for line in lines[2:8]
    }
    assert list(rows)[:3] == ["RealSR", "DRealSR", "RealLQ250"]
    assert rows["RealSR"][:4] == ["Paired", "Testing / Benchmark", "Real-captured", "100"]
    assert rows["RealSR"][4:] == ["–"] * 4, "no copy was here"
    assert rows["LucidLR (published)"][3] == "20K"
    assert rows["tiny"][4:6] == ["6 LR", "24×24 (median)"]
    import pyarrow.parquet as pq

    shards = list((small_build / "dataset").glob("data/**/*.parquet"))
    count = sum(pq.read_metadata(shard).num_rows for shard in shards)
    assert rows["LucidLR (this build)"][3:5] == [str(count), f"{count} LR"]
    assert "jpeg" in rows["LucidLR (this build)"][6]
    gallery_of(folder / "out", training_log=folder, separability=folder / "separability.csv")


@pytest.mark.browser
def test_the_page_works_from_a_web_server_too(browser, page):
    import functools
    import threading
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *about):
            pass

    handler = functools.partial(Quiet, directory=str(page.parent))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/"
        with visit(browser, address) as seen:
            seen.page.locator("#cards button").first.click()
            seen.page.wait_for_function("document.getElementById('under').naturalWidth > 0")
            assert [*seen.console, *seen.thrown] == []
            assert all(asked.startswith(address) for asked in seen.requests)
    finally:
        server.shutdown()


def names(seen):
    return seen.page.locator("#cards .name").all_text_contents()


def transforms(seen):
    found = seen.page.evaluate(
        "[...document.querySelectorAll('#viewer .pane img')].map((image) => image.style.transform)"
    )
    told = "two in the comparison, eight below: LR, three methods with their maps, HR"
    assert len(found) == 10, told
    return set(found)


def own_requests(seen, page):
    root = page.parent.resolve().as_uri()
    return [address for address in seen.requests if not address.startswith(root)]


def quiet(seen, page):
    return [*seen.console, *seen.thrown, *seen.dialogs, *own_requests(seen, page)]


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_opens_from_the_disk_without_a_complaint(browser, page, theme):
    with visit(browser, page, theme=theme) as seen:
        assert len(names(seen)) == 6
        seen.page.locator("#cards button").first.click()
        seen.page.keyboard.press("Escape")
        # Names of strangers are text.
        assert HOSTILE in seen.page.locator("#right").text_content()
        assert seen.page.locator("figure.plot svg").count() == 2 + 2 + 1
        assert quiet(seen, page) == []
        background = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(19, 19, 18)") == (theme == "dark")
        seen.page.locator("#theme").click()
        assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") != background


@pytest.mark.browser
def test_worst_cases_come_first_and_filter_and_search_narrow_the_cards(browser, page):
    with visit(browser, page) as seen:
        data = json.loads(seen.page.locator("#data").text_content())
        psnr = {i["name"]: i["scores"]["blurred"]["PSNR"] for i in data["items"]}
        gain = {i["name"]: psnr[i["name"]] - i["scores"]["bicubic"]["PSNR"] for i in data["items"]}
        piqe = {i["name"]: i["scores"]["blurred"]["PIQE"] for i in data["items"]}
        assert names(seen) == sorted(psnr, key=psnr.get)
        for order, keys in (
            ("worst:PIQE", {name: -value for name, value in piqe.items()}),
            ("loss:PSNR", gain),
            ("gain:PSNR", {name: -value for name, value in gain.items()}),
            ("name", {name: index for index, name in enumerate(psnr)}),
        ):
            seen.page.locator("#order").select_option(order)
            assert names(seen) == sorted(keys, key=keys.get), order
        seen.page.locator("#find").fill("chel")
        assert names(seen) == ["chelsea_0", "chelsea_1"]
        assert "2 of 6 images" in seen.page.locator("#count").text_content()
        seen.page.locator("#find").fill("")
        labels = sorted({label for item in data["items"] for label in item["labels"]})
        for label in labels:
            seen.page.locator("#label").select_option(label)
            assert set(names(seen)) == {i["name"] for i in data["items"] if label in i["labels"]}
        assert quiet(seen, page) == []


@pytest.mark.browser
def test_the_divider_moves_by_mouse_and_by_keyboard(browser, page):
    with visit(browser, page) as seen:
        seen.page.locator("#cards button").first.click()
        box = seen.page.locator("#compare").bounding_box()
        middle = box["y"] + box["height"] / 2
        seen.page.mouse.move(box["x"] + box["width"] / 2, middle)
        seen.page.mouse.down()
        seen.page.mouse.move(box["x"] + box["width"] * 0.2, middle, steps=4)
        seen.page.mouse.up()
        assert seen.page.locator("#slider").input_value() == "20"
        clip = "document.getElementById('over-box').style.clipPath"
        assert "20%" in seen.page.evaluate(clip)
        seen.page.locator("#slider").focus()
        seen.page.keyboard.press("ArrowRight")
        assert seen.page.locator("#slider").input_value() == "21"
        assert "21%" in seen.page.evaluate(clip)
        seen.page.keyboard.press("Home")
        assert (
            seen.page.locator("#slider").get_attribute("aria-valuetext")
            == "0 % bicubic, 100 % blurred"
        )
        # What is left of the divider is the left picture, pixel by pixel: at 100 the right one is not seen.
        seen.page.keyboard.press("End")
        assert "100%" in seen.page.evaluate(clip)


@pytest.mark.browser
def test_the_divider_moves_by_touch_and_two_fingers_zoom(browser, page):
    context = browser.new_context(has_touch=True, viewport={"width": 390, "height": 844})
    try:
        tab = context.new_page()
        tab.goto(page.resolve().as_uri())
        tab.locator("#cards button").first.tap()
        box = tab.locator("#compare").bounding_box()
        session = context.new_cdp_session(tab)
        y = box["y"] + box["height"] / 2

        def touch(kind, *xs):
            points = [{"x": box["x"] + box["width"] * x, "y": y, "id": i} for i, x in enumerate(xs)]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        touch("touchStart", 0.5)
        for x in (0.6, 0.7, 0.8):
            touch("touchMove", x)
        touch("touchEnd")
        assert tab.locator("#slider").input_value() == "80"
        touch("touchStart", 0.4)
        touch("touchStart", 0.4, 0.6)
        touch("touchMove", 0.3, 0.7)
        touch("touchMove", 0.2, 0.8)
        touch("touchEnd")
        assert float(tab.locator("#zoom").text_content().rstrip("×")) > 2
    finally:
        context.close()


@pytest.mark.browser
def test_all_pictures_zoom_and_move_in_step(browser, page):
    with visit(browser, page) as seen:
        seen.page.locator("#cards button").first.click()
        assert transforms(seen) == {"translate(0%, 0%) scale(1)"}
        box = seen.page.locator("#panes .pane").nth(2).bounding_box()
        seen.page.locator("#panes .pane").nth(2).scroll_into_view_if_needed()
        box = seen.page.locator("#panes .pane").nth(2).bounding_box()
        seen.page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.25)
        for _ in range(4):
            seen.page.mouse.wheel(0, -100)
        (one,) = transforms(seen)
        # 1.25^4 = 2.44; the point under the mouse, a quarter in, stays where it is: -0.25 (2.44 - 1) = -36 %.
        moved, zoom = re.match(r"translate\((.*?)%, .*scale\((.*)\)", one).groups()
        assert float(zoom) == pytest.approx(1.25**4, rel=1e-3)
        assert float(moved) == pytest.approx(-25 * (1.25**4 - 1), abs=0.6)
        seen.page.mouse.down()
        seen.page.mouse.move(
            box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.25, steps=3
        )
        seen.page.mouse.up()
        (dragged,) = transforms(seen)
        shift = float(re.match(r"translate\((.*?)%", dragged).group(1)) - float(moved)
        assert shift == pytest.approx(25, abs=0.6), (
            "a quarter of the pane, as far as the mouse went"
        )
        seen.page.keyboard.press("0")
        assert transforms(seen) == {"translate(0%, 0%) scale(1)"}
        seen.page.keyboard.press("+")
        assert seen.page.locator("#zoom").text_content() == "1.5×"
        assert quiet(seen, page) == []


@pytest.mark.browser
def test_everything_can_be_done_from_the_keyboard_and_focus_comes_back(browser, page):
    with visit(browser, page) as seen:
        seen.page.locator("#cards button").nth(1).focus()
        seen.page.keyboard.press("Enter")
        assert seen.focused() == "slider"
        first = seen.page.locator("#viewer-title").text_content()
        seen.page.keyboard.press("n")
        assert seen.page.locator("#viewer-title").text_content() != first
        for _ in range(12):
            seen.page.keyboard.press("Tab")
            inside = seen.page.evaluate(
                "document.activeElement === document.body || viewer.contains(document.activeElement)"
            )
            assert inside, "focus stays in the dialog"
        seen.page.keyboard.press("Escape")
        # On the card of the image that was looked at last. The dialog tells of its end in an event, a moment later.
        seen.page.wait_for_function(
            "[...document.querySelectorAll('#cards button')].indexOf(document.activeElement) === 2"
        )
        unnamed = seen.page.evaluate(
            "[...document.querySelectorAll('button, select, input')].filter((e) =>"
            " !e.textContent.trim() && !e.ariaLabel && !e.labels?.length && !e.getAttribute('aria-labelledby')).length"
        )
        assert unnamed == 0


@pytest.mark.browser
def test_on_a_phone_nothing_sticks_out(browser, page):
    with visit(browser, page, width=360, height=740) as seen:
        assert seen.page.evaluate("document.documentElement.scrollWidth") == 360
        seen.page.locator("#cards button").first.click()
        assert seen.page.evaluate("document.getElementById('viewer').scrollWidth") <= 360
        buttons = seen.page.locator("#viewer .buttons button")
        assert all(buttons.nth(i).bounding_box()["height"] >= 36 for i in range(buttons.count()))


@pytest.mark.browser
def test_of_three_hundred_images_only_those_in_view_are_loaded(browser, tmp_path):
    rng = np.random.default_rng(0)
    for i in range(300):
        hr = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        for side, pixels in (("lr", hr[::4, ::4]), ("hr", hr)):
            (tmp_path / "set" / side).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "set" / side / f"{i:03}.png")
    benchmark = load_benchmark("many", tmp_path / "set")
    bicubic = Method(name="bicubic", kind="bicubic")
    done = evaluate([benchmark], [bicubic], [], tmp_path / "out")
    write_results(done, tmp_path / "out", name="many", methods=["bicubic"], metrics=[], deltas={})
    page = gallery_of(tmp_path / "out")
    with visit(browser, page, height=700) as seen:
        assert len(names(seen)) == 300
        seen.page.wait_for_function("document.querySelector('#cards img').naturalWidth > 0")
        seen.page.wait_for_timeout(300)
        loaded = len(seen.outside)
        assert 0 < loaded < 300
        seen.page.locator("#cards button").last.scroll_into_view_if_needed()
        for _ in range(100):  # a busy machine takes its time
            seen.page.wait_for_timeout(200)
            if len(seen.outside) > loaded:
                break
        assert len(seen.outside) > loaded
        assert quiet(seen, page) == []
