"""The page in headless Chromium on a phone's screen, beside what Python makes of the same files: make test-web."""

import shutil
import threading
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
import torch

from datasets import read_image
from deploy import export, load
from deploy.runtimes import FORMATS
from deploy.serving import make_server, make_site

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.web
FLAGS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
CONVERTERS = {"onnx": "onnx", "litert": "litert_torch"}
THRESHOLD = 0.1


@pytest.fixture(scope="module")
def checkpoints(checkpoint, detector, classifier, joint, tmp_path_factory):
    content = torch.load(detector, weights_only=True)
    content["mobiledense"]["score_threshold"] = 0.42  # as validation may have chosen it
    detector = tmp_path_factory.mktemp("chosen") / "best.ckpt"
    torch.save(content, detector)
    return {"segmentation": checkpoint, "detection": detector, "classification": classifier, "joint": joint}


@pytest.fixture(scope="module")
def picture(shapes, tmp_path_factory):
    """An image that is larger than what the networks take, of other proportions, and no other size twice."""
    image = read_image(next((shapes / "JPEGImages").glob("val*")))
    path = tmp_path_factory.mktemp("pictures") / "picture.png"
    cv2.imwrite(str(path), cv2.resize(image[..., ::-1], (330, 250), interpolation=cv2.INTER_CUBIC))
    return path


@pytest.fixture(scope="module")
def browser(picture):
    """Chromium, whose camera shows the picture."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.fail("make test-web needs chromium on the path; apt-get install chromium, say")
    clip = picture.with_suffix(".mjpeg")
    image = cv2.resize(cv2.imread(str(picture)), (640, 480))
    clip.write_bytes(cv2.imencode(".jpg", image)[1].tobytes() * 4)
    flags = [*FLAGS, f"--use-file-for-fake-video-capture={clip}"]
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=chromium, args=flags)
        yield running
        running.close()


@contextmanager
def served(*models):
    """The address of the page with models."""
    with make_server(make_site(list(models)), "localhost", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()
        thread.join()


class Phone:
    """The page as somebody uses it.

    Args:
        browser: of Playwright.
        address: of the page.
    """

    def __init__(self, browser, address):
        screen = {"width": 390, "height": 844}
        self.context = browser.new_context(viewport=screen, device_scale_factor=2, is_mobile=True, has_touch=True)
        self.page = self.context.new_page()
        self.page.set_default_timeout(90_000)
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.goto(address)
        self.loaded()

    def loaded(self):
        """Once the page is there: its first model."""
        self.page.evaluate("async () => { globalThis.seen = (await import('./app.js')).state }")
        self.wait("predictor")

    def ask(self, code):
        """What an expression over the page's state, `seen`, comes to."""
        return self.page.evaluate(code)

    def wait(self, what):
        """Until `state` has it, or the page says why not."""
        self.page.wait_for_function(f"() => seen.{what} || !document.getElementById('error').hidden")
        assert self.line() == ""

    def line(self):
        """What the page says is wrong."""
        return self.page.inner_text("#error") if self.page.is_visible("#error") else ""

    def choose(self, path):
        self.page.click("#model")
        self.page.click(f'#models button[data-file="{path.name}"]')
        self.page.wait_for_function(f"() => seen.predictor.file === '{path.name}'")

    def show(self, picture):
        self.ask("seen.result = null")
        self.page.set_input_files("#image", picture)
        self.wait("result")
        return self.result()

    def result(self):
        plain = "([key, value]) => [key, value.length >= 0 ? Array.from(value) : value]"
        return self.ask(f"Object.fromEntries(Object.entries(seen.result).map({plain}))")

    def image(self):
        """The pixels that are shown."""
        width, height, data = self.ask("[seen.image.width, seen.image.height, Array.from(seen.image.data)]")
        return np.array(data, dtype=np.uint8).reshape(height, width, 4)[..., :3]

    def close(self):
        self.context.close()
        assert self.faults == []


@pytest.fixture(scope="module")
def models(checkpoints, tmp_path_factory):
    """Each task in each format that can be written here."""
    folder = tmp_path_factory.mktemp("models")
    found = []
    for form, converter in CONVERTERS.items():
        try:
            __import__(converter)
        except ImportError:
            continue
        for task, path in checkpoints.items():
            found.append(export(path, form, folder / f"{task}{FORMATS[form].suffix}"))
    return found


@pytest.fixture(scope="module")
def phone(browser, models):
    with served(*models) as address:
        phone = Phone(browser, address)
        yield phone
        phone.close()


@pytest.fixture
def model(phone, models, request):
    """One of them, chosen on the page."""
    path = next((path for path in models if path.name == request.param), None)
    if path is None:
        pytest.skip(f"{request.param} cannot be written here")
    phone.choose(path)
    return load(path)


def agree(ours, theirs, width, height):
    """Each detection of one that is surely above the threshold has one of the other."""
    for boxes, scores, labels, others in ((*ours, theirs), (*theirs, ours)):
        for box, score, label in zip(boxes, scores, labels, strict=True):
            if score > THRESHOLD + 0.02:
                near = np.abs(others[0] - box).max(1, initial=0) < 0.005 * max(width, height)
                near &= (np.abs(others[1] - score) < 0.02) & (others[2] == label)
                assert near.any(), (box, score, label)


@pytest.mark.parametrize("model", ["segmentation.onnx", "segmentation.tflite"], indirect=True)
def test_masks_are_those_of_python(model, phone, picture):
    found = phone.show(picture)
    (expected,) = model.predict([read_image(picture)])
    assert (np.reshape(found["mask"], expected.shape) == expected).mean() > 0.995
    assert phone.page.inner_text("#speed").endswith(" ms")
    assert phone.ask("document.getElementById('overlay').width") == expected.shape[1]


@pytest.mark.parametrize("model", ["detection.onnx", "detection.tflite"], indirect=True)
def test_boxes_are_those_of_python(model, phone, picture):
    assert phone.ask("seen.settings.detection") == 42 and model.spec.score_threshold == 0.42
    assert phone.page.input_value("#setting input") == "42"
    phone.show(picture)
    phone.ask("seen.result.old = true")
    slide = "(input, value) => { input.value = value; input.dispatchEvent(new Event('input', { bubbles: true })) }"
    phone.page.eval_on_selector("#setting input", slide, 100 * THRESHOLD)
    phone.wait("result && !seen.result.old")
    found = phone.result()
    (expected,) = model.predict([read_image(picture)], score_threshold=THRESHOLD)
    assert len(expected.scores) > 0
    ours = np.reshape(found["boxes"], (-1, 4)), np.array(found["scores"]), np.array(found["labels"])
    agree(ours, (expected.boxes, expected.scores, expected.labels), 330, 250)


@pytest.mark.parametrize("model", ["joint.onnx", "joint.tflite"], indirect=True)
def test_masks_and_boxes_come_together(model, phone, picture):
    phone.ask(f"seen.settings.detection = {100 * THRESHOLD}")
    found = phone.show(picture)
    ((mask, boxes),) = model.predict([read_image(picture)], score_threshold=THRESHOLD)
    assert (np.reshape(found["mask"], mask.shape) == mask).mean() > 0.995
    ours = np.reshape(found["boxes"], (-1, 4)), np.array(found["scores"]), np.array(found["labels"])
    agree(ours, (boxes.boxes, boxes.scores, boxes.labels), 330, 250)
    assert phone.ask("!document.getElementById('overlay').hidden && !document.getElementById('boxes').hidden")


@pytest.mark.parametrize("model", ["classification.onnx", "classification.tflite"], indirect=True)
def test_labels_are_those_of_python(model, phone, picture):
    found = phone.show(picture)
    (expected,) = model.predict([read_image(picture)])
    np.testing.assert_allclose(found["probabilities"], expected, atol=0.01)
    assert phone.page.inner_text("#legend b >> nth=0") == model.spec.names[expected.argmax()]


@pytest.mark.parametrize("model", ["segmentation.onnx", "segmentation.tflite"], indirect=True)
def test_the_camera_is_drawn_with_its_frame_rate(model, phone):
    phone.page.click("#camera")
    phone.wait("times.length >= 6")
    assert " fps" in phone.page.inner_text("#speed")
    phone.page.click("#camera")
    phone.page.wait_for_function("() => seen.frames === null")
    image = phone.image()
    (expected,) = model.predict([image])
    assert (np.reshape(phone.result()["mask"], expected.shape) == expected).mean() > 0.995
    shown = phone.ask(
        "Array.from(document.getElementById('picture').getContext('2d').getImageData(0, 0, 640, 480).data)"
    )
    np.testing.assert_array_equal(np.reshape(shown, (480, 640, 4))[..., :3], image)


@pytest.mark.parametrize("model", ["segmentation.onnx", "segmentation.tflite"], indirect=True)
def test_videos_are_drawn_as_they_play(model, phone, picture, tmp_path):
    frame, path = cv2.imread(str(picture)), tmp_path / "clip.webm"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"VP80"), 10, (330, 250))
    for number in range(20):
        writer.write(np.roll(frame, 10 * number, axis=1))
    writer.release()
    phone.page.set_input_files("#video", path)
    phone.wait("times.length >= 6")
    before = phone.image()
    phone.page.wait_for_timeout(500)
    assert (phone.image() != before).any()
    phone.page.click("#view")  # a tap holds it
    phone.page.wait_for_timeout(500)
    before = phone.image()
    phone.page.wait_for_timeout(500)
    np.testing.assert_array_equal(phone.image(), before)
    phone.show(picture)  # another source ends it
    assert phone.ask("seen.frames === null")


def test_files_that_are_no_models_are_told_and_change_nothing(phone, models, picture, tmp_path):
    phone.choose(models[0])
    content = bytearray(models[0].read_bytes())
    cut = content[: len(content) // 2]
    content[len(content) // 2] ^= 1
    for name, written, said in (
        ("text.onnx", b"hello", "text.onnx is neither a .tflite nor an .onnx file"),
        ("text.tflite", b"hello", "text.tflite is no .tflite file"),
        ("changed.onnx", bytes(content), "changed.onnx was changed or damaged"),
        ("cut.onnx", bytes(cut), "cut.onnx"),
    ):
        (tmp_path / name).write_bytes(written)
        phone.page.click("#model")
        phone.page.set_input_files("#file", tmp_path / name)
        phone.page.wait_for_selector("#error:visible")
        assert said in phone.line() and "\n" not in phone.line()
        phone.page.click("#error button")
    for name in ("notes.txt", "notes.png"):
        (tmp_path / name).write_bytes(b"hello")
        phone.page.set_input_files("#image", tmp_path / name)
        phone.page.wait_for_selector("#error:visible")
        assert name in phone.line()
        phone.page.click("#error button")
    assert phone.ask("seen.predictor.file") == models[0].name
    phone.show(picture)


def test_a_file_of_ones_own_is_opened(phone, models, picture, tmp_path):
    path = shutil.copy(models[0], tmp_path / f"mine{models[0].suffix}")
    phone.page.click("#model")
    phone.page.set_input_files("#file", path)
    phone.page.wait_for_function(f"() => seen.predictor.file === 'mine{models[0].suffix}'")
    phone.show(picture)
    phone.page.click("#model")
    about = phone.page.inner_text("#about")
    assert f"segmentation, {len(load(models[0]).spec.names)} classes" in about
    phone.page.keyboard.press("Escape")


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_it_works_without_a_network_once_it_was_loaded(browser, models, picture, suffix):
    path = next((path for path in models if path.suffix == suffix), None)
    if path is None:
        pytest.skip(f"{suffix} cannot be written here")
    with served(path) as address:
        phone = Phone(browser, address)
        before = phone.show(picture)
    phone.context.set_offline(True)  # and the server is gone
    phone.page.reload()
    phone.loaded()
    assert phone.ask("crossOriginIsolated") is True
    assert phone.show(picture)["mask"] == before["mask"]
    phone.close()


def test_it_can_be_installed(phone):
    session = phone.context.new_cdp_session(phone.page)
    assert session.send("Page.getAppManifest")["errors"] == []
    faults = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert [fault["errorId"] for fault in faults if fault["errorId"] != "in-incognito"] == []


def test_it_fits_a_phone(phone, models, picture):
    phone.choose(models[0])
    phone.show(picture)
    wide, high = phone.ask("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    assert (wide, high) == (390, 844)
    for button in phone.page.query_selector_all("nav > *, #model, #setting"):
        box = button.bounding_box()
        assert box["height"] >= 44 and box["x"] >= 0 and box["x"] + box["width"] <= 390
