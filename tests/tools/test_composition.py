"""`store extract` of several recordings as one picture: mosaics, overlays, colormaps, and which frames belong together."""
import csv
import unittest
import wave

import cv2
import numpy

from store_program import DATA_LOST, FAILED, USAGE, StoreTestCase, numbered_stack, read_number
from test_other_verbs import golden_like_store

HEIGHT, WIDTH = 12, 16
COUNT = 6


def random_stack(dtype="uint8", channels=1, seed=3, count=COUNT, shape=(HEIGHT, WIDTH)):
    generator = numpy.random.default_rng(seed)
    size = (count, *shape) if channels == 1 else (count, *shape, channels)
    values = generator.random(size)
    return values.astype(dtype) if dtype == "float32" else (values * (numpy.iinfo(dtype).max + 1)).astype(dtype)


def in_color(image):
    return numpy.repeat(image[..., None], 3, axis=-1)


def smoothstep(values, low, high):
    t = numpy.clip((values - low) / (high - low), 0, 1)
    return t ** 3 * (t * (t * 6 - 15) + 10)


def colored(values, name, low, high):
    """What the filter colormap does, with OpenCV's tables."""
    place = numpy.clip(numpy.floor((values - low) / (high - low) * 256), 0, 255).astype(numpy.uint8)
    return cv2.applyColorMap(place, getattr(cv2, f"COLORMAP_{name.upper()}"))


# Some of those that tests/filters/blend_test.cpp goes through.
BLENDING = {
    "soft-light": lambda b, t: (1 - b) * b * t + b * (1 - (1 - b) * (1 - t)),
    "addition": lambda b, t: b + t,
    "hard-light": lambda b, t: numpy.where(t > 0.5, 1 - (1 - b) * (1 - (t - 0.5) * 2), 2 * b * t),
    "divide": lambda b, t: numpy.minimum(256 / 255 * b / (1 / 255 + t), 1),
}


class CompositionTestCase(StoreTestCase):
    def saved(self, name, images):
        path = self.folder / f"{name}.npy"
        numpy.save(path, images)
        return path

    def composed(self, recordings, *options, code=0):
        out = self.folder / "out.npy"
        self.ok("extract", *recordings, out, "--force", *options, code=code)
        frames = numpy.load(out)
        return frames[..., 0] if frames.ndim == 4 and frames.shape[3] == 1 else frames

    def listed(self, column="index"):
        with open(self.folder / "out.npy.frames.csv", newline="", encoding="utf-8") as file:
            return [int(row[column]) for row in csv.DictReader(file)]

    def refused(self, *arguments, code=USAGE, words=()):
        result = self.ok("extract", *arguments, code=code)
        self.assert_refused(result, code, *words)

    def assert_near(self, result, expected, tolerance, what=None):
        self.assertEqual(result.shape, expected.shape, what)
        numpy.testing.assert_allclose(result.astype(float), expected.astype(float), atol=tolerance, rtol=0, err_msg=what)


class Mosaics(CompositionTestCase):
    def test_grid_of_four_each_in_its_colours(self):
        stacks = [random_stack(seed=seed) for seed in range(4)]
        paths = [self.saved(f"source{i}", stack) for i, stack in enumerate(stacks)]
        result = self.composed(paths, "--mosaic", "columns=2:padding=3:background=white", "--colormap",
                               "viridis,magma,none,inferno")
        expected = numpy.full((COUNT, 2 * HEIGHT + 3, 2 * WIDTH + 3, 3), 255, numpy.uint8)
        names = ["viridis", "magma", None, "inferno"]
        for frame in range(COUNT):
            for place, name in enumerate(names):
                image = stacks[place][frame]
                row, column = place // 2 * (HEIGHT + 3), place % 2 * (WIDTH + 3)
                expected[frame, row:row + HEIGHT, column:column + WIDTH] = (
                    cv2.applyColorMap(image, getattr(cv2, f"COLORMAP_{name.upper()}")) if name else in_color(image))
        numpy.testing.assert_array_equal(result, expected)
        # One colormap for all of them; the same recording twice.
        result = self.composed([paths[0], paths[0]], "--mosaic", "horizontal", "--colormap", "viridis")
        image = cv2.applyColorMap(stacks[0][5], cv2.COLORMAP_VIRIDIS)
        numpy.testing.assert_array_equal(result[5], numpy.concatenate([image, image], axis=1))

    def test_limits_of_each_colormap(self):
        deep, real = random_stack("uint16"), random_stack("float32", seed=4) * 3
        paths = [self.saved("deep", deep), self.saved("real", real)]
        result = self.composed(paths, "--mosaic", "vertical", "--colormap", "viridis=1000:60000,jet=0:3")
        for frame in range(COUNT):
            expected = [colored(deep[frame].astype(float), "viridis", 1000, 60000), colored(real[frame], "jet", 0, 3)]
            wrong = (result[frame] != numpy.concatenate(expected)).any(axis=-1)
            self.assertLessEqual(wrong.sum(), 1)  # where a value lies on the border of two colours

    def test_selection_filter_and_list(self):
        stacks = [numbered_stack(20, first=first) for first in (0, 100)]
        paths = [self.save_stack(stack, f"store{i}", "--format", "npy") for i, stack in enumerate(stacks)]
        result = self.composed(paths, "--mosaic", "horizontal", "--index", "3:16:4", "--filter", "crop=0:0:128:20,invert",
                               "--input-filter", "flip=horizontal,flip=horizontal", "--input-filter", "")
        expected = 255 - numpy.concatenate(stacks, axis=2)[3:16:4, :20]
        numpy.testing.assert_array_equal(result, expected)
        self.assertEqual(self.listed(), [3, 7, 11, 15])
        result = self.composed(paths, "--mosaic", "horizontal", "--number", "4:6", "--gray")
        self.assertEqual([read_number(image[:, 64:]) for image in result], [104, 105])
        result = self.composed(paths, "--mosaic", "horizontal", "--input-filter", "", "--input-filter", "invert")
        numpy.testing.assert_array_equal(result[7], numpy.concatenate([stacks[0][7], 255 - stacks[1][7]], axis=1))

    def test_different_kinds_sizes_and_types(self):
        deep = self.saved("deep", numpy.full((5, 20, 30), 65535, numpy.uint16))
        color = self.save_stack(numpy.full((3, 10, 15, 3), (10, 200, 30), numpy.uint8), "store", "--format", "png")
        result = self.composed([deep, color], "--mosaic", "horizontal")
        self.assertEqual((result.shape, result.dtype), ((5, 20, 60, 3), numpy.uint16))
        self.assertTrue((result[:, :, :30] == 65535).all())
        self.assertTrue((result[:, :, 30:] == numpy.array([10, 200, 30]) * 257).all())

    def test_titles(self):
        paths = [self.saved(f"source{i}", random_stack(seed=i, shape=(40, 60))) for i in range(2)]
        plain = self.composed(paths, "--mosaic", "horizontal")
        titled = self.composed(paths, "--mosaic", "horizontal:title_size=12", "--titles", "left,rechts\\, ganz")
        band = titled.shape[1] - plain.shape[1]
        self.assertGreater(band, 8)
        self.assertTrue((titled[:, :band, :60] > 100).any() and (titled[:, :band, 60:] > 100).any())
        self.assertTrue((titled[0, :band, 60:] > 100).sum() > 1.5 * (titled[0, :band, :60] > 100).sum())
        images = titled[:, band:] if titled.ndim == 3 else titled[:, band:, :, 0]
        numpy.testing.assert_array_equal(images, plain)


class Overlays(CompositionTestCase):
    def test_blend_modes(self):
        base, top = random_stack(channels=3, seed=1), random_stack(channels=3, seed=2)
        base[:, 0], top[:, :, 1] = 0, 255
        paths = [self.saved("base", base), self.saved("top", top)]
        for name, blend in BLENDING.items():
            result = self.composed(paths, "--overlay", f"0.7:{name}", "--index", "2")
            b, t = base[2:3] / 255, top[2:3] / 255
            expected = numpy.clip(b * 0.3 + blend(b, t) * 0.7, 0, 1) * 255
            self.assert_near(result, expected, 0.51, name)

    def test_types(self):
        for dtype, white, tolerance in (("uint16", 65535, 0.52), ("float32", 1, 1e-6)):
            base, top = random_stack(dtype, seed=1), random_stack(dtype, seed=2)
            paths = [self.saved("base", base), self.saved("top", top)]
            result = self.composed(paths, "--overlay", "alpha=0.25:blend=screen")
            b, t = base / white, top / white
            self.assert_near(result, (b * 0.75 + (1 - (1 - b) * (1 - t)) * 0.25) * white, tolerance, dtype)
            self.assertEqual(result.dtype, base.dtype)

    def test_alpha_of_the_values_before_the_colormap(self):
        base, top = random_stack(seed=1), random_stack("float32", seed=2)
        top[:, 3, 4] = numpy.nan
        paths = [self.saved("base", base), self.saved("top", top)]
        result = self.composed(paths, "--overlay", "low=0.2:high=0.7", "--colormap", "gray,jet=0:1")
        alpha = numpy.nan_to_num(smoothstep(top, 0.2, 0.7))[..., None]
        colors = numpy.stack([colored(numpy.nan_to_num(image), "jet", 0, 1) for image in top])
        self.assert_near(result, in_color(base) * (1 - alpha) + colors * alpha, 1.01)
        self.assertTrue((result[:, 3, 4] == in_color(base)[:, 3, 4]).all())
        # Half of both without any alpha, but nothing where there is no value.
        result = self.composed(paths, "--overlay", "fit=no", "--colormap", "none,jet=0:1")
        alpha = numpy.where(numpy.isnan(top), 0, 0.5)[..., None]
        self.assert_near(result, in_color(base) * (1 - alpha) + colors * alpha, 1.01)
        # Without a colormap the values are shown; linear.
        result = self.composed(paths, "--overlay", "low=0:high=1:order=0:alpha=0.5")
        alpha = numpy.nan_to_num(top)[..., None] * 0.5
        self.assert_near(result, in_color(base * (1 - alpha[..., 0]) + numpy.nan_to_num(top) * 255 * alpha[..., 0]), 1.01)

    def test_third_recording_and_mask(self):
        base, top, third = [random_stack(seed=seed) for seed in (1, 2, 3)]
        paths = [self.saved(name, stack) for name, stack in (("base", base), ("top", top), ("third", third))]
        result = self.composed(paths, "--overlay", "alpha=1")
        self.assert_near(result, base * (1 - third / 255) + top * (third / 255), 0.51)
        cv2.imwrite(str(self.folder / "mask.png"), third[0])
        mask = third[0] / 255
        result = self.composed(paths[:2], "--overlay", f"mask={self.folder}/mask.png")
        self.assert_near(result, base * (1 - mask) + top * mask, 0.51)

    def test_size_and_place(self):
        base, top = random_stack(channels=3, seed=1), random_stack(channels=3, seed=2, shape=(6, 8))
        paths = [self.saved("base", base), self.saved("top", top)]
        result = self.composed(paths, "--overlay", "1:x=3:y=-2")
        expected = base.copy()
        expected[:, 0:4, 3:11] = top[:, 2:]
        numpy.testing.assert_array_equal(result, expected)
        result = self.composed(paths, "--overlay", "1:fit=yes")
        expected = [cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR) for image in top]
        numpy.testing.assert_array_equal(result, numpy.stack(expected))
        self.refused(*paths, self.folder / "x.npy", "--overlay", "1", code=FAILED, words=["6x8x3", "12x16x3", "fit"])
        self.assertFalse((self.folder / "x.npy").exists())

    def test_colormap_of_one_recording(self):
        stack = random_stack("float32") * 7 - 2
        path = self.saved("one", stack)
        result = self.composed([path], "--colormap", "viridis")  # limits are those of the whole recording
        expected = numpy.stack([colored(image, "viridis", stack.min(), stack.max()) for image in stack])
        self.assertLessEqual((result != expected).any(axis=-1).sum(), 2)
        result = self.composed([path], "--input-filter", "flip", "--colormap", "viridis=0:1", "--filter", "crop=0:0:5:4",
                               "--index", "2:4")
        expected = numpy.stack([colored(image[:4, :-6:-1], "viridis", 0, 1) for image in stack[2:4]])
        numpy.testing.assert_array_equal(result, expected)


class Synchronisation(CompositionTestCase):
    """Two cameras, of which the second one loses frames."""

    def setUp(self):
        super().setUp()
        self.seen = [n for n in range(20) if n not in (5, 6, 13)]
        self.first = golden_like_store(self.folder / "first", *self.stamps(range(20), 100.0), chunk_frames=20)
        self.second = golden_like_store(self.folder / "second", *self.stamps(self.seen, 100.004), chunk_frames=20)

    def stamps(self, frames, start):
        return [1000 + n for n in frames], [start + n / 25 for n in frames]

    def shown(self, *options, code=0):
        """Which frames of the first camera are seen in each image; none where nothing is."""
        result = self.composed([self.first, self.second], "--mosaic", "horizontal", *options, code=code)
        half = result.shape[2] // 2
        return [(read_number(image[:, :half]), self.seen[read_number(image[:, half:])] if image[:, half:].any() else None)
                for image in result]

    def test_by_index_number_and_time(self):
        self.assertEqual(self.shown(), [(i, self.seen[min(i, 16)]) for i in range(20)])
        held = [max(n for n in self.seen if n <= i) for i in range(20)]
        for by in ("number", "time"):
            with self.subTest(by):
                self.assertEqual(self.shown("--sync", by), list(enumerate(held)))
                self.assertEqual(self.listed("number"), list(range(1000, 1020)))
                blank = [(i, i if i in self.seen else None) for i in range(20)]
                self.assertEqual(self.shown("--sync", f"by={by}:missing=blank"), blank)
                self.assertEqual(self.shown("--sync", f"by={by}:missing=drop"), [(i, i) for i in self.seen])
                self.assertEqual(self.listed(), self.seen)
                self.assertEqual(self.listed("number"), [1000 + n for n in self.seen])
                some = self.shown("--sync", f"by={by}:missing=drop", "--index", "3:17:2")
                self.assertEqual(some, [(i, i) for i in (3, 7, 9, 11, 15)])
                self.assertEqual(self.listed(), [3, 7, 9, 11, 15])
        self.assertEqual(self.shown("--sync", "time:missing=blank:tolerance=0.001"), [(i, None) for i in range(20)])

    def test_offset_and_rate(self):
        self.assertEqual(self.shown("--offset", "0,3", "--sync", "missing=drop"),
                         [(i, self.seen[i - 3]) for i in range(3, 20)])
        self.assertEqual(self.listed(), list(range(3, 20)))
        self.assertEqual(self.shown("--offset", "0,3", "--sync", "missing=drop", "--number", "1008:1010"),
                         [(8, self.seen[5]), (9, self.seen[6])])
        self.assertEqual(self.shown("--rate", "1,2", "--index", "0:8"), [(i, self.seen[2 * i]) for i in range(8)])
        self.assertEqual(self.shown("--sync", "time", "--offset", "0,0.08", "--time", "100.31..100.41"),
                         [(8, 4), (9, 7), (10, 8)])

    def test_sound(self):
        with wave.open(str(self.folder / "sound.wav"), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(bytes(16000))
        options = ("--mosaic", "grid", "--sync", "number:missing=drop", "--audio", self.folder / "sound.wav")
        self.refused(self.first, self.second, self.folder / "x.mp4", *options, "--times", "constant",
                     words=["missing=drop"])
        out = self.folder / "clip.mp4"
        self.ok("extract", self.first, self.second, out, *options)
        times = [row["time"] for row in self.lines_of("frames", out)]
        numpy.testing.assert_allclose(times, [n / 25 for n in self.seen], atol=1e-3)

    def test_filters_that_change_the_number_of_frames(self):
        result = self.shown("--sync", "number:missing=blank", "--input-filter", "", "--input-filter", "skip=2", "--index",
                            "0:5")
        self.assertEqual(result, [(0, 0), (1, None), (2, 2), (3, None), (4, 4)])
        self.assertEqual(self.listed(), list(range(5)))
        self.refused(self.first, self.second, self.folder / "x.npy", "--mosaic", "grid", "--input-filter", "skip=2",
                     "--input-filter", "", words=["first", "--filter"])


class Mistakes(CompositionTestCase):
    def setUp(self):
        super().setUp()
        self.paths = [self.saved(f"source{i}", random_stack(seed=i)) for i in range(3)]
        self.out = self.folder / "x.npy"

    def test_refused(self):
        two = self.paths[:2]
        mosaic = ("--mosaic", "grid")
        for recordings, options, words in (
                (two, (), ["--mosaic", "--overlay"]),
                (two[:1], ("--overlay", "0.5"), ["two"]),
                ([*two, *two], ("--overlay", "0.5"), ["two", "4"]),
                (two, ("--mosaic", "grid", "--overlay", "0.5"), ["not both"]),
                (two, ("--mosaic", "colums=2"), ["did you mean columns"]),
                (two, ("--mosaic", "columns=2,padding=3"), ["colons"]),
                (two, ("--mosaic", "aspect=16/"), ["aspect=16/"]),
                (two, ("--overlay", "1.5"), ["alpha=1.5"]),
                (two, ("--overlay", "low=3:high=3"), ["two different values"]),
                (two, ("--overlay", "fit=yes:x=3"), ["position"]),
                (two, (*mosaic, "--colormap", "viridi"), ["viridis"]),
                (two, (*mosaic, "--colormap", "gray,gray,gray"), ["3", "2 recordings"]),
                (two, (*mosaic, "--offset", "0,x"), ["--offset", "numbers"]),
                (two, (*mosaic, "--offset", "1"), ["1 values for 2"]),
                (two, (*mosaic, "--offset", "1,0"), ["leads"]),
                (two, ("--overlay", "0.5", "--titles", "a,b"), ["--mosaic"]),
                (two, (*mosaic, "--sync", "clock"), ["index, number, time"]),
                (two, (*mosaic, "--sync", "time"), ["no frame times"]),
                (two[:1], ("--rate", "1"), ["--rate"])):
            with self.subTest(options):
                self.refused(*recordings, self.out, *options, words=words)
        self.refused(self.out, words=["OUT"])
        self.refused(*two, two[1], "--overlay", "0.5", "--force", words=["recording itself", two[1].name, "the last name"])
        self.refused(self.paths[0], self.folder / "none.npy", self.out, *mosaic, code=FAILED, words=["none.npy"])
        self.assertFalse(self.out.exists())

    def test_a_damaged_source(self):
        stores = [self.save_stack(numbered_stack(6), f"store{i}", "--format", "png") for i in range(2)]
        next((stores[1] / "000000").glob("*3.png")).write_bytes(b"not an image")
        out = self.folder / "out.npy"
        result = self.ok("extract", *stores, out, "--mosaic", "horizontal", code=DATA_LOST)
        self.assertIn("store1", result.err)
        self.assertEqual([read_number(image[:, :64]) for image in numpy.load(out)], [0, 1, 2, 4, 5])
        self.assertEqual(self.listed(), [0, 1, 2, 4, 5])


if __name__ == "__main__":
    unittest.main()
