"""Images, masks and label lists: what is read from odd files, and what the errors say."""

import numpy as np
import pytest
from PIL import Image

from datasets.faults import DataError
from datasets.files import default_colours, read_labels
from datasets.images import read_image
from datasets.segmentation.masks import read_mask, write_mask

RGB = np.random.default_rng(0).integers(0, 255, (6, 9, 3), dtype=np.uint8)


def error_line(call, *arguments) -> str:
    """The message of the DataError that the call raises, which must be one line."""
    with pytest.raises(DataError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


# images


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1"])
def test_png_modes_become_rgb(tmp_path, mode):
    image = Image.fromarray(RGB).convert(mode)
    image.save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    assert read.shape == (6, 9, 3) and read.dtype == np.uint8
    np.testing.assert_array_equal(read, np.array(image.convert("RGB")))


def test_transparency_is_dropped_not_blended(tmp_path):
    Image.fromarray(np.dstack([RGB, np.zeros((6, 9), np.uint8)])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), RGB)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_grey_keeps_the_upper_byte(tmp_path, name):
    values = np.array([[0, 255, 256, 4660], [30000, 32768, 65280, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / name)
    expected = np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_image(tmp_path / name), expected)


def test_cmyk_jpeg_shows_its_colour(tmp_path):
    Image.new("RGB", (16, 16), (200, 30, 60)).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert Image.open(tmp_path / "a.jpg").mode == "CMYK"
    np.testing.assert_allclose(read_image(tmp_path / "a.jpg").mean((0, 1)), (200, 30, 60), atol=6)


def save_turned(path, array):
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is on the right of the file
    Image.fromarray(array).save(path, exif=exif)


def test_exif_orientation_turns_the_image_upright(tmp_path):
    save_turned(tmp_path / "a.png", RGB)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.rot90(RGB, -1))


def test_exif_orientation_of_a_jpeg(tmp_path):
    array = np.zeros((16, 32, 3), np.uint8)
    array[:, :16] = 255  # left half white: the upper half once turned clockwise
    save_turned(tmp_path / "a.jpg", array)
    read = read_image(tmp_path / "a.jpg")
    assert read.shape == (32, 16, 3)
    assert read[:15].min() > 240 and read[17:].max() < 15


def test_exif_orientation_of_16_bit_grey(tmp_path):
    save_turned(tmp_path / "a.png", np.arange(12, dtype=np.uint16).reshape(3, 4) << 8)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[..., 0], np.rot90(np.arange(12).reshape(3, 4), -1))


def test_the_array_can_be_written_to(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    read_image(tmp_path / "a.png")[0, 0] = 0


def truncated(path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("half.jpg", truncated, "truncated"),
        ("half.png", truncated, "cannot be read"),
        ("empty.jpg", lambda path: path.write_bytes(b""), "not an image"),
        ("text.jpg", lambda path: path.write_text("hello, this is text"), "not an image"),
        ("folder.jpg", lambda path: path.mkdir(), "cannot be read"),
        ("missing.jpg", lambda path: None, "no such file"),
    ],
)
def test_unreadable_files_are_named(tmp_path, read, name, damage, said):
    damage(tmp_path / name)
    message = error_line(read, tmp_path / name)
    assert message.startswith(f"{tmp_path / name}: ") and said in message


def test_a_mode_that_cannot_be_converted_is_named(tmp_path):
    Image.new("LAB", (4, 4)).save(tmp_path / "a.tif")
    try:
        assert read_image(tmp_path / "a.tif").shape == (4, 4, 3)  # some Pillows convert it
    except DataError as error:
        assert "a.tif" in str(error) and "LAB" in str(error)


# masks

INDICES = np.array([[0, 1, 2], [3, 255, 255]], dtype=np.uint8)


def as_palette(array):
    image = Image.fromarray(array)
    image.putpalette(np.array(default_colours(256), np.uint8).tobytes())
    return image


@pytest.mark.parametrize("make", [Image.fromarray, as_palette, lambda array: Image.fromarray(array.astype(np.uint16))])
def test_masks_hold_indices(tmp_path, make):
    make(INDICES).save(tmp_path / "a.png")
    mask = read_mask(tmp_path / "a.png")
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, INDICES)


def test_colours_do_not_change_an_indexed_mask(tmp_path):
    as_palette(INDICES).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", [(9, 9, 9), (8, 8, 8)]), INDICES)


def test_1_bit_masks_are_0_and_1(tmp_path):
    bits = np.array([[True, False, True], [False, False, True]])
    Image.fromarray(bits).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), bits.astype(np.uint8))


def test_16_bit_mask_beyond_255_names_value_and_pixels(tmp_path):
    Image.fromarray(np.array([[0, 300, 300], [1, 300, 2]], dtype=np.uint16)).save(tmp_path / "a.png")
    message = error_line(read_mask, tmp_path / "a.png")
    assert "a.png" in message and "300 on 3 pixels" in message and "0 to 254" in message


def test_float_masks_are_refused(tmp_path):
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "a.tif")
    assert "this one is F" in error_line(read_mask, tmp_path / "a.tif")


COLOURS = [(0, 0, 0), (200, 10, 10), (10, 200, 10)]


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_rgb_masks_are_looked_up_and_white_is_void(tmp_path, mode):
    expected = np.array([[0, 1, 2, 255], [2, 2, 255, 0]], dtype=np.uint8)
    table = np.full((256, 3), 255, np.uint8)
    table[:3] = COLOURS
    Image.fromarray(table[expected]).convert(mode).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", COLOURS), expected)


def test_white_is_a_class_where_the_table_has_it(tmp_path):
    Image.new("RGB", (3, 2), (255, 255, 255)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", [(0, 0, 0), (255, 255, 255)]), np.ones((2, 3)))


def test_an_unknown_colour_is_named_with_its_pixels(tmp_path):
    image = Image.new("RGB", (10, 10), (200, 10, 10))
    image.paste((1, 2, 3), (0, 0, 7, 1))
    image.paste((4, 5, 6), (0, 2, 2, 3))
    image.save(tmp_path / "a.png")
    message = error_line(read_mask, tmp_path / "a.png", COLOURS)
    assert "a.png" in message and "(1, 2, 3) on 7 pixels" in message and "1 other colour" in message
    assert "labels.txt" in message


def test_an_rgb_mask_without_a_table_says_how_to_give_one(tmp_path):
    Image.new("RGB", (3, 3)).save(tmp_path / "a.png")
    message = error_line(read_mask, tmp_path / "a.png")
    assert "a.png" in message and "name R G B" in message and "labels.txt" in message


def test_write_mask_keeps_indices_and_palette(tmp_path):
    colours = default_colours(4)
    write_mask(tmp_path / "a.png", INDICES, colours)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), INDICES)
    image = Image.open(tmp_path / "a.png")
    assert image.mode == "P"
    shown = np.array(image.convert("RGB"))
    expected = np.array([[colours[0], colours[1], colours[2]], [colours[3], (255,) * 3, (255,) * 3]])
    np.testing.assert_array_equal(shown, expected)


def test_default_colours_are_vocs():
    first = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]
    assert default_colours(21)[:7] == first
    assert default_colours(21)[8] == (64, 0, 0) and default_colours(21)[20] == (0, 64, 128)
    assert len(set(default_colours(256))) == 256


# labels.txt


def labels(tmp_path, text):
    path = tmp_path / "labels.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "names", "colours"),
    [
        ("sky\ntraffic light\n\n  road  \n", ["sky", "traffic light", "road"], None),
        ("sky 1 2 3\ntraffic light 4 5 6\n", ["sky", "traffic light"], [(1, 2, 3), (4, 5, 6)]),
        ("sky, 1, 2, 3\r\nroad\t255 0 0\r\n", ["sky", "road"], [(1, 2, 3), (255, 0, 0)]),
        ("lane 2\nlane 3\n", ["lane 2", "lane 3"], None),
        ("\ufeffstraße\n", ["straße"], None),
    ],
)
def test_labels(tmp_path, text, names, colours):
    assert read_labels(labels(tmp_path, text)) == (names, colours)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sky\nroad\nsky\n", "sky listed twice"),
        ("\n  \n", "no class names"),
        ("sky 1 2 3\nroad\ncar\n", "1 of 3 classes have a colour"),
        ("sky 1 2 3\nroad 1 256 3\n", "0 to 255"),
        ("straße\n".encode("latin1"), "UTF-8"),
    ],
)
def test_bad_labels(tmp_path, text, said):
    path = labels(tmp_path, text)
    message = error_line(read_labels, path)
    assert message.startswith(f"{path}: ") and said in message


def test_missing_labels_say_what_to_write(tmp_path):
    assert "one class name a line" in error_line(read_labels, tmp_path / "labels.txt")
