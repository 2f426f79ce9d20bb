"""Filters against the same done with numpy and OpenCV's Python module."""
import unittest
from math import erf

import cv2
import numpy

from store_program import StoreTestCase

HEIGHT, WIDTH, COUNT = 37, 50, 3


def random_stack(dtype, channels=1, seed=3):
    random = numpy.random.default_rng(seed)
    shape = (COUNT, HEIGHT, WIDTH) if channels == 1 else (COUNT, HEIGHT, WIDTH, channels)
    if numpy.dtype(dtype).kind == "f":
        return random.normal(0.5, 0.4, shape).astype(dtype)
    return random.integers(0, numpy.iinfo(dtype).max + 1, shape).astype(dtype)


def white_of(dtype):
    return 1.0 if numpy.dtype(dtype).kind == "f" else float(numpy.iinfo(dtype).max)


def as_type(values, dtype):
    if numpy.dtype(dtype).kind == "f":
        return values.astype(dtype)
    return numpy.clip(numpy.rint(values), 0, numpy.iinfo(dtype).max).astype(dtype)


class Filters(StoreTestCase):
    def filtered(self, images, filters, code=0):
        path = self.folder / "images.npy"
        numpy.save(path, images)
        return self.extracted(path, "--filter", filters, code=code)

    def assert_near(self, result, expected, tolerance, what):
        self.assertEqual((result.dtype, result.shape), (expected.dtype, expected.shape), what)
        numpy.testing.assert_allclose(result.astype(float), expected.astype(float), atol=tolerance, rtol=0, err_msg=what)

    def test_values(self):
        curve_black, curve_white = erf(4 * -0.3), erf(4 * 0.7)
        references = {
            "brightness=12.5:0.75": lambda x, white: x * 0.75 + 12.5,
            "gamma=2.2": lambda x, white: white * (numpy.maximum(x, 0) / white) ** (1 / 2.2),
            "invert": lambda x, white: white - x,
            "curve=4:0.3": lambda x, white: white * (numpy.vectorize(erf)(4 * (numpy.clip(x / white, 0, 1) - 0.3))
                                                     - curve_black) / (curve_white - curve_black),
            "threshold=0.6": lambda x, white: numpy.where(x > 0.6, white, 0),
        }
        for dtype, channels in (("uint8", 3), ("uint16", 1), ("float32", 3)):
            images = random_stack(dtype, channels)
            if dtype == "float32":
                images[0, 0, :8, 0] = numpy.nan, numpy.inf, -numpy.inf, 0, -0.0, 1e-40, -1e-40, 3e38
            for text, reference in references.items():
                with numpy.errstate(invalid="ignore", over="ignore"):
                    expected = as_type(reference(images.astype(float), white_of(dtype)), dtype)
                    if dtype == "float32" and text.startswith("curve"):
                        expected[numpy.isnan(images)] = numpy.nan
                result = self.filtered(images, text)
                if dtype == "float32":
                    self.assertEqual((result.dtype, result.shape), (expected.dtype, expected.shape), text)
                    numpy.testing.assert_allclose(result, expected, atol=1e-5, rtol=1e-5, err_msg=text)
                else:
                    self.assert_near(result, expected, 1, f"{text} {dtype} {channels}")

    def test_values_far_beyond_the_type_are_cut_off(self):
        for dtype, channels, text in (("uint8", 1, "brightness=contrast=1e12"),
                                      ("uint16", 3, "brightness=contrast=1e12"),
                                      ("uint8", 3, "normalize=0:1:to_high=1e12"),
                                      ("uint16", 6, "normalize=0:1:to_high=1e12")):
            result = self.filtered(numpy.maximum(random_stack(dtype, channels), 1), text)
            self.assertTrue((result == white_of(dtype)).all(), f"{text} {dtype} {channels}")

    def test_normalize(self):
        for dtype in ("uint8", "uint16", "int16", "float32"):
            images = random_stack("uint8" if dtype == "int16" else dtype).astype(dtype)
            low, high = [numpy.percentile(images, p, axis=(1, 2), keepdims=True) for p in (10, 90)]
            part = (images - low) / (high - low)
            result = self.filtered(images, "normalize=low_percentile=10:high_percentile=90:to_low=2:to_high=5:type=float64")
            self.assert_near(result, numpy.clip(2 + 3 * part, 2, 5), 1e-9, dtype)
            result = self.filtered(images, "levels=clip=25:low=3" if dtype == "uint16" else "8bit=low_percentile=10:high_percentile=90")
            if dtype == "uint16":
                high = numpy.percentile(images, 87.5, axis=(1, 2), keepdims=True)
                self.assert_near(result, as_type((images - 3.0) / (high - 3) * 65535, dtype), 1, dtype)
            else:
                self.assert_near(result, as_type(part * 255, "uint8"), 1, dtype)
        deep = random_stack("int16")
        expected = as_type((deep + 32768.0) / 65535 * 255, "uint8")
        self.assert_near(self.filtered(deep, "8bit=range=type"), expected, 1, "full")
        # A narrow range far from 0, where float32 would lose much.
        far = (30000 + 10 * numpy.random.default_rng(4).random((2, 20, 30))).astype("float32")
        low, high = [end(far, axis=(1, 2), keepdims=True).astype(float) for end in (numpy.min, numpy.max)]
        self.assert_near(self.filtered(far, "normalize"), ((far - low) / (high - low)).astype("float32"), 1e-6, "far")
        self.assert_near(self.filtered(far.astype("uint16"), "normalize=30002:30005"),
                         as_type((far.astype("uint16") - 30002.0) / 3 * 65535, "uint16"), 1, "far")
        images = random_stack("float32")
        images[0, 3, 4], images[0, 5, 6], images[0, 7, 8] = numpy.nan, numpy.inf, -numpy.inf
        images[1] = 7
        images[2] = numpy.nan
        result = self.filtered(images, "8bit=nan=9")
        self.assertEqual((result[0, 3, 4], result[0, 5, 6], result[0, 7, 8]), (9, 255, 0))
        self.assertTrue((result[1] == 0).all() and (result[2] == 9).all())
        result = self.filtered(images, "normalize")
        self.assertTrue(numpy.isnan(result[0, 3, 4]) and numpy.isnan(result[2]).all())

    def test_lut(self):
        table = numpy.random.default_rng(8).integers(0, 256, 256)
        (self.folder / "table.txt").write_text(", ".join(map(str, table)))
        images = random_stack("uint8", 3)
        numpy.testing.assert_array_equal(self.filtered(images, f"lut={self.folder}/table.txt"), table.astype("uint8")[images])
        deep_table = numpy.random.default_rng(8).integers(0, 65536, 65536)
        numpy.savetxt(self.folder / "deep.txt", deep_table, fmt="%d")
        deep = random_stack("uint16")
        numpy.testing.assert_array_equal(self.filtered(deep, f"lut={self.folder}/deep.txt"), deep_table.astype("uint16")[deep])
        (self.folder / "short.txt").write_text("1 2 3")
        for name, word, code in (("not_there.txt", "not_there", 1), ("short.txt", "3", 2), ("table.txt", "uint16", 1)):
            result = self.ok("extract", self.folder / "images.npy", self.folder / "out.npy", "--filter",
                             f"lut={self.folder}/{name}", code=code)
            self.assert_refused(result, code, word)

    def test_clahe(self):
        gray = random_stack("uint8") // 3 + 40
        expected = numpy.stack([cv2.createCLAHE(8, (5, 5)).apply(image) for image in gray])
        numpy.testing.assert_array_equal(self.filtered(gray, "clahe"), expected)
        color = random_stack("uint8", 3) // 3 + 40
        for image, result in zip(color, self.filtered(color, "clahe=4:3")):
            lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)
            lab[..., 0] = cv2.createCLAHE(4, (3, 3)).apply(lab[..., 0])
            numpy.testing.assert_array_equal(result, cv2.cvtColor(lab, cv2.COLOR_LAB2BGR))
        deep = random_stack("uint16", 3) // 3 + 9000
        result = self.filtered(deep, "clahe")
        self.assertGreater(result.astype(float).std(), deep.astype(float).std())
        numpy.save(self.folder / "float.npy", random_stack("float32"))
        refused = self.ok("extract", self.folder / "float.npy", self.folder / "out.npy", "--filter", "clahe", code=1)
        self.assert_refused(refused, 1, "normalize")

    def test_reference_images(self):
        images = random_stack("uint16")
        flat, dark = random_stack("uint16", seed=5)[0] // 2 + 20000, random_stack("uint16", seed=6)[0] // 40
        flat[3, 4] = dark[3, 4]
        cv2.imwrite(str(self.folder / "flat.png"), flat)
        cv2.imwrite(str(self.folder / "dark.png"), dark)
        light = flat.astype(float) - dark
        factors = numpy.divide(light.mean(), light, out=numpy.zeros_like(light), where=light > 0)
        result = self.filtered(images, f"flat-field={self.folder}/flat.png:{self.folder}/dark.png")
        self.assert_near(result, as_type((images - dark.astype(float)) * factors, "uint16"), 1, "flat field")
        flat[5, 6] = dark[5, 6] + 1  # dirt: white there, however bright the frame
        cv2.imwrite(str(self.folder / "dirt.png"), flat)
        images[:, 5, 6] = 65535
        result = self.filtered(images, f"flat-field={self.folder}/dirt.png:{self.folder}/dark.png")
        self.assertEqual(result[:, 5, 6].tolist(), [65535] * len(images))
        result = self.filtered(images, f"dark-frame='{self.folder}/dark.png'")
        numpy.testing.assert_array_equal(result, as_type(images - dark.astype(float), "uint16"))
        floats = random_stack("float32")
        numpy.save(self.folder / "dark.npy", floats[0])
        result = self.filtered(floats, f"dark-frame={self.folder}/dark.npy")
        numpy.testing.assert_array_equal(result, floats - floats[0])
        (self.folder / "notes.png").write_text("no picture")
        numpy.save(self.folder / "images.npy", images.astype("uint8"))
        for text, word, code in ((f"flat-field={self.folder}/flat.png", "uint16", 1),
                                 ("flat-field=nothing.png", "nothing.png", 1),
                                 (f"dark-frame={self.folder}/notes.png", "no image", 2)):
            result = self.ok("extract", self.folder / "images.npy", self.folder / "out.npy", "--filter", text, code=code)
            self.assert_refused(result, code, word)

    def test_geometry(self):
        images = random_stack("uint16", 3)
        matrix = numpy.array([[0.9, 0.2, 3], [-0.1, 1.1, -2.5]])
        cases = {
            "crop=5:3:20:11": images[:, 3:14, 5:25],
            "crop=each=4": images[:, 4:-4, 4:-4],
            "flip": images[:, :, ::-1],
            "rotate=90": numpy.rot90(images, axes=(1, 2)),
            "rotate=-90,rotate=180,rotate=-90": images,
            "pad=each=6:mode=reflect": numpy.pad(images, ((0, 0), (6, 6), (6, 6), (0, 0)), "reflect"),
            "pad=each=6:mode=wrap:top=1": numpy.pad(images, ((0, 0), (1, 6), (6, 6), (0, 0)), "wrap"),
            "pad=each=5:mode=symmetric": numpy.pad(images, ((0, 0), (5, 5), (5, 5), (0, 0)), "symmetric"),
            "pad=2:value=7": numpy.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=7),
            "affine=0.9:0.2:3:-0.1:1.1:-2.5": numpy.stack([cv2.warpAffine(i, matrix, (WIDTH, HEIGHT)) for i in images]),
        }
        sizes = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA, "lanczos": cv2.INTER_LANCZOS4}
        for name, flag in sizes.items():
            cases[f"resize=31:23:interpolation={name}"] = numpy.stack(
                [cv2.resize(image, (31, 23), interpolation=flag) for image in images])
        for text, expected in cases.items():
            numpy.testing.assert_array_equal(self.filtered(images, text), expected, text)

    def test_save_and_wrong_words(self):
        images = random_stack("uint8")
        numpy.save(self.folder / "images.npy", images)
        self.ok("save", self.folder / "images.npy", self.folder / "store", "--format", "npy", "--filter", "invert,flip")
        numpy.testing.assert_array_equal(self.extracted(self.folder / "store"), 255 - images[:, :, ::-1])
        for text, words in (("brightnes=3", ["did you mean brightness", "clahe"]), ("clahe=clop=3", ["did you mean clip"]),
                            ("crop=0:0:500:2", ["500x2"]), ("gamma=-1", ["gamma=-1"])):
            result = self.ok("extract", self.folder / "images.npy", self.folder / "out.npy", "--filter", text, code=2)
            self.assert_refused(result, 2, *words)


if __name__ == "__main__":
    unittest.main()
