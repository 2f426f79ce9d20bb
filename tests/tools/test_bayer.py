"""Raw Bayer mosaics: kept bit by bit in lossless formats, decoded when read, by the method that is asked for."""
import io
import unittest

import cv2
import numpy

from store_program import StoreTestCase, run

METHODS = {"bilinear": "", "vng": "_VNG", "edge-aware": "_EA"}
PATTERNS = ("bg", "gb", "rg", "gr")


def mosaics(count, dtype, height=36, width=48):
    """Smooth enough to be demosaiced, different in every frame, over the whole range."""
    rows, columns = numpy.mgrid[:height, :width]
    most = numpy.iinfo(dtype).max
    frames = [(0.5 + 0.5 * numpy.sin(rows / 5 + number) * numpy.cos(columns / (3 + rows % 2))) * most
              for number in range(count)]
    images = numpy.stack(frames).astype(dtype)
    images[:, 0, 0], images[:, -1, -1] = 0, most
    return images


class Bayer(StoreTestCase):
    def image(self, store, index, *options):
        result = self.ok("get", store, "--index", index, "-o", "-", "--as", "npy", *options, binary=True)
        return numpy.load(io.BytesIO(result.out))

    def lossless_formats(self):
        for entry in self.json_of("formats")["chunk_formats"]:
            if entry["lossless"] and not entry["name"].endswith("+color") and not entry.get("unavailable"):
                yield entry["name"]

    def test_every_lossless_format_keeps_the_mosaic(self):
        names = list(self.lossless_formats())
        self.assertTrue({"png", "tif", "npy", "bpk"} <= set(names))
        of_8_bits = ["png", "predicted/rpz", "ffv1/mkv"]  # and those that refuse 16
        for dtype, formats in ((numpy.uint16, names), (numpy.uint8, of_8_bits)):
            images = mosaics(3, dtype)
            numpy.save(self.folder / "raw.npy", images)
            for name in formats:
                with self.subTest(format=name, dtype=dtype.__name__):
                    store = self.folder / f"{name.replace('/', '_')}_{dtype.__name__}"
                    arguments = ["save", self.folder / "raw.npy", store, "--format", name, "--encoding", "cv_bayerbg",
                                 "--time", "fps:25"]
                    result = run(*arguments)
                    if result.code and dtype == numpy.uint16:  # a format of 8 bits
                        self.assert_refused(result, 1, "uint16")
                        of_8_bits.append(name)
                        continue
                    self.assertEqual(result.code, 0, result.err)
                    numpy.testing.assert_array_equal(self.extracted(store, "--raw"), images)
                    if name not in ("npy", "png", "ffv1/mkv", "raw/npy", "predicted/rpz"):
                        continue
                    expected = [cv2.cvtColor(image, cv2.COLOR_BayerBG2BGR) for image in images]
                    numpy.testing.assert_array_equal(self.extracted(store), expected)

    def test_filters_that_move_pixels_leave_no_mosaic(self):
        numpy.save(self.folder / "raw.npy", mosaics(3, numpy.uint8))
        raw = self.folder / "raw"
        self.ok("save", self.folder / "raw.npy", raw, "--format", "npy", "--encoding", "cv_bayerbg")
        for name, filters, encoding in (("brighter", "brightness=3", "cv_bayerbg"), ("flipped", "flip", None)):
            self.ok("save", raw, self.folder / name, "--format", "npy", "--raw", "--filter", filters)
            self.assertEqual(self.json_of("info", self.folder / name)["encoding"], encoding)

    def test_methods(self):
        for dtype in (numpy.uint8, numpy.uint16):
            images = mosaics(2, dtype)
            for pattern in PATTERNS if dtype == numpy.uint16 else ("bg", "gr"):
                store = self.save_stack(images, f"{pattern}_{dtype.__name__}", "--format", "npy",
                                        "--encoding", f"cv_bayer{pattern}")
                for method, suffix in METHODS.items():
                    if method == "vng" and dtype == numpy.uint16:
                        result = self.ok("get", store, "--index", 1, "--json", "--demosaic", method, code=1)
                        self.assert_refused(result, 1, "vng", "uint16", "bilinear", "edge-aware")
                        continue
                    decoded = self.image(store, 1, "--demosaic", method)
                    expected = cv2.cvtColor(images[1], getattr(cv2, f"COLOR_Bayer{pattern.upper()}2BGR{suffix}"))
                    if method == "vng":  # OpenCV rounds differently in vectors, and repeats pixels near the border
                        inner = slice(4, -4), slice(4, -4)
                        difference = decoded[inner].astype(int) - expected[inner]
                        self.assertLessEqual(numpy.abs(difference).max(), 1)
                    else:
                        numpy.testing.assert_array_equal(decoded, expected)
        out = self.folder / "edge.npy"
        self.ok("extract", store, out, "--demosaic", "edge-aware")
        numpy.testing.assert_array_equal(numpy.load(out)[1], self.image(store, 1, "--demosaic", "edge-aware"))

    def test_questions_that_make_no_sense(self):
        bayer = self.save_stack(mosaics(2, numpy.uint8), "bayer", "--format", "png", "--encoding", "cv_bayerbg")
        plain = self.save_stack(mosaics(2, numpy.uint8), "plain", "--format", "png")
        self.assert_refused(self.ok("get", bayer, "--index", 0, "--demosaic", "cubic", code=2), 2, "edge-aware")
        self.ok("get", bayer, "--index", 0, "--demosaic", "vng", "--raw", code=2)
        for recording in (plain, plain / "000000" / "000000.png"):
            result = self.ok("extract", recording, self.folder / "x.npy", "--demosaic", "vng", code=2)
            self.assert_refused(result, 2, "mosaic")
        self.assertFalse((self.folder / "x.npy").exists())

    def test_lossy_formats_refuse(self):
        numpy.save(self.folder / "raw.npy", mosaics(2, numpy.uint8))
        for name in ("avc1/mp4", "mjpeg/avi", "jpg"):
            result = self.ok("save", self.folder / "raw.npy", self.folder / "store", "--format", name,
                             "--encoding", "cv_bayerbg", "--time", "fps:25", code=1)
            self.assert_refused(result, 1, name, "lossy", "colours")
            self.assertFalse((self.folder / "store").exists())
        self.ok("save", self.folder / "raw.npy", self.folder / "color", "--format", "jpg+color",
                "--encoding", "cv_bayerbg", "--time", "fps:25")
        self.assertEqual(self.image(self.folder / "color", 0).shape, (36, 48, 3))


if __name__ == "__main__":
    unittest.main()
