"""Text, scale bars and plots on frames, against letters drawn by Pillow and rectangles by numpy."""
import unittest

import numpy
from PIL import Image, ImageDraw, ImageFont

from store_program import DONE, FAILED, GOLDEN, USAGE, StoreTestCase

FONTS = "/usr/share/fonts/truetype/dejavu"
STORE = GOLDEN / "npy-color"  # 17 frames; each second one has extra data: label "f0", temperature 20.5
COUNT = 17


def font_of(size, name="DejaVuSans"):
    return ImageFont.truetype(f"{FONTS}/{name}.ttf", size, layout_engine=ImageFont.Layout.BASIC)


def coverage(text, size, shape, x, y, bottom=False, right=False, name="DejaVuSans"):
    """How much of each pixel the letters of one line cover. Pillow does not kern: no "AV"."""
    font = font_of(size, name)
    image = Image.new("L", (shape[1], shape[0]))
    if bottom:
        y = shape[0] - y - sum(font.getmetrics())
    if right:
        x = shape[1] - x - int(font.getlength(text))
    ImageDraw.Draw(image).text((x, y), text, font=font, fill=255)
    return numpy.asarray(image)


def blended(image, covered, color):
    """`color` over the pixels as far as they are covered."""
    covered = covered if image.ndim == 2 else covered[..., None]
    if image.dtype.kind == "f":
        return (image + (numpy.float32(color) - image) * (covered / numpy.float32(255))).astype(image.dtype)
    covered, color = covered.astype(numpy.int64), numpy.asarray(color, numpy.int64)
    return ((image.astype(numpy.int64) * (255 - covered) + color * covered + 127) // 255).astype(image.dtype)


class Annotation(StoreTestCase):
    def filtered(self, images, filters, **options):
        path = self.folder / "images.npy"
        numpy.save(path, images)
        return self.extracted(path, "--filter", filters, **options)

    def test_letters_are_those_of_another_program(self):
        random = numpy.random.default_rng(3)
        for text, size, name, font, dtype, channels in (
                ("Köln 20 µm -3.5 °C", 12, "sans", "DejaVuSans", "uint8", 1),
                ("Wij{}[] 0123456789", 16, "sans", "DejaVuSans", "uint8", 3),
                ("gjpqy Ωß€", 37, "sans-bold", "DejaVuSans-Bold", "uint16", 1),
                ("mono 100 %", 24, "mono", "DejaVuSansMono", "float32", 3),
                ("serif", 40, f"{FONTS}/DejaVuSerif.ttf", "DejaVuSerif", "uint16", 3)):
            shape = (60, 300) if channels == 1 else (60, 300, channels)
            images = random.random((2, *shape))
            white = 1.0 if dtype == "float32" else numpy.iinfo(dtype).max
            images = (images * white).astype(dtype)
            written = text.replace("{", "{{").replace("}", "}}")
            result = self.filtered(images, f"text='{written}':size={size}:shadow=none:x=7:y=3:font={name}")
            covered = coverage(text, size, shape, 7, 3, name=font)
            self.assertGreater(covered.sum() / 255, 50)
            for image, drawn in zip(images, result):
                numpy.testing.assert_allclose(drawn, blended(image, covered, white), rtol=0,
                                              atol=1e-6 if dtype == "float32" else 0, err_msg=text)

    def test_colors_and_shadow(self):
        images = numpy.full((1, 40, 120, 3), 90, numpy.uint8)
        result = self.filtered(images, "text=Color:size=20:x=6:y=4:color=orange:shadow=none")[0]
        numpy.testing.assert_array_equal(result, blended(images[0], coverage("Color", 20, (40, 120), 6, 4), (0, 165, 255)))
        gray = self.filtered(images[..., 0], "text=Color:size=20:x=6:y=4:color=orange:shadow=none")[0]
        luma = round(0.299 * 255 + 0.587 * 165)
        numpy.testing.assert_array_equal(gray, blended(images[0, ..., 0], coverage("Color", 20, (40, 120), 6, 4), luma))
        offset = self.filtered(images[..., 0], "text=Color:size=20:x=6:y=4:shadow_size=0:shadow_offset=2")[0]
        expected = blended(images[0, ..., 0], coverage("Color", 20, (40, 120), 8, 6), 0)
        # Blends of overlapping letters depend on their order: only letters that do not touch are compared.
        expected = blended(expected, coverage("Color", 20, (40, 120), 6, 4), 255)
        self.assertLessEqual(int(numpy.abs(offset.astype(int) - expected).max()), 1)

    def test_fields_of_a_store(self):
        plain = self.extracted(STORE)
        shape = plain.shape[1:]
        options = "size=10:shadow=none:x=1:y=1"

        def check(filters, texts, **place):
            for image, drawn, text in zip(plain, self.extracted(STORE, "--filter", filters), texts, strict=True):
                expected = blended(image, coverage(text, 10, shape, 1, 1, **place), (255, 255, 255))
                numpy.testing.assert_array_equal(drawn, expected, f"{filters}: {text}")

        rows = self.lines_of("frames", STORE)
        numbers = [row["number"] for row in rows]
        temperatures = [20.5 + index for index in range(COUNT)]
        own = [f"{t:.2f}" if i % 2 == 0 else "-" for i, t in enumerate(temperatures)]
        held = [f"{temperatures[i - i % 2]:.2f}" for i in range(COUNT)]
        check(f"text='{{index:02}} {{number:6}}':{options}", [f"{i:02} {n:6}" for i, n in enumerate(numbers)])
        check(f"text={{extra.temperature:.2f}}:{options}".replace(":.2f", "\\:.2f"), own)
        check(f"text='{{extra.temperature:.2f}}':hold=yes:{options}", held)
        check(f"text={{extra.vec.1}}:missing=?:{options}", [str(i + 1) if i % 2 == 0 else "?" for i in range(COUNT)])
        seconds = [row["time"] - rows[0]["time"] for row in rows]
        check(f"text={{seconds}}:{options}", [f"{s:.3f}" for s in seconds])
        clocks = [f"01:00:{s:09.6f}" for s in seconds]
        check(f"timestamp='%H:%M:%S.%f':zone=Europe/Vienna:{options}", clocks, bottom=True)
        check(f"text='{{time:%M %3f}}':position=bottom-right:{options}",
              [f"00 {int(s * 1000 + 1e-3) % 1000:03}" for s in seconds], bottom=True, right=True)

    def test_one_frame_is_that_of_all(self):
        for filters in ("text='{extra.temperature}':hold=yes", "text={seconds}", "plot='temperature,mean':frames=5",
                        "timestamp,scale-bar=1"):
            everything = self.extracted(STORE, "--filter", filters)
            for index in (11, 4):
                out = self.folder / "one.npy"
                self.ok("get", STORE, "--index", index, "--filter", filters, "-o", out, "--force")
                numpy.testing.assert_array_equal(numpy.load(out), everything[index], filters)

    def test_scale_bar(self):
        images = numpy.full((2, 90, 200), 30000, numpy.uint16)
        result = self.filtered(images, "scale-bar=1.6:length=50:label='':thickness=4:x=9:y=8:size=24")
        expected = images.copy()
        expected[:, 90 - 8 - 4 - 2:90 - 8 + 2, 200 - 9 - 80 - 2:200 - 9 + 2] = 0
        expected[:, 90 - 8 - 4:90 - 8, 200 - 9 - 80:200 - 9] = 65535
        numpy.testing.assert_array_equal(result, expected)

    def test_plot_under_the_image(self):
        plain = self.extracted(STORE)
        result = self.extracted(STORE, "--filter", "plot=temperature:height=50:frames=9:labels=no:low=20:high=40:color=red")
        height = plain.shape[1]
        self.assertEqual(result.shape, (COUNT, height + 50, *plain.shape[2:]))
        numpy.testing.assert_array_equal(result[:, :height], plain)
        for index in range(0, COUNT, 2):
            red = (result[index, height:] == (0, 0, 255)).all(axis=2)
            rows = numpy.flatnonzero(red[:, -8:].any(axis=1))
            # The mark at the right end lies where its value says, from 20 at the lower end to 40.
            value = 40 - 20 * (rows.mean() - 5) / (50 - 2 * 5 - 1)
            self.assertAlmostEqual(value, 20.5 + index, delta=0.5)

    def test_annotated_copies_keep_extra_data(self):
        copy = self.folder / "copy"
        self.ok("save", STORE, copy, "--format", "npy", "--filter", "text={extra.label}:hold=yes,plot=temperature")
        self.assertEqual(self.lines_of("extra", copy), self.lines_of("extra", STORE))

    def test_refused(self):
        numpy.save(self.folder / "images.npy", numpy.zeros((2, 20, 30), numpy.uint8))
        (self.folder / "font.ttf").write_bytes(b"no font at all")
        for filters, code, words in (
                ("text={numbr}", USAGE, ("text", "{number}")),
                ("text={time:%H:%M}", USAGE, ("quotes",)),
                ("text=a:font=nothing.ttf", FAILED, ("nothing.ttf", "sans-bold")),
                (f"text=a:font={self.folder}/font.ttf", FAILED, ("font.ttf", "no font")),
                ("timestamp='%Q'", USAGE, ("timestamp", "%Q")),
                ("text='{time:%F}'", USAGE, ("images.npy", "date")),
                ("plot", USAGE, ("plot", "keys")),
                ("scale-bar", USAGE, ("pixels_per_unit",)),
                ("plot=mean:seconds=3", USAGE, ("frame rate", "frames="))):
            result = self.ok("extract", self.folder / "images.npy", self.folder / "out.npy", "--filter", filters, code=code)
            self.assert_refused(result, code, *words)
        self.ok("extract", self.folder / "images.npy", self.folder / "out.npy", "--filter", "text={time},plot=mean", code=DONE)


if __name__ == "__main__":
    unittest.main()
