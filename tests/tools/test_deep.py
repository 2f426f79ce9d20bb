"""More than 8 bits a sample: images of 16 bits and of floats keep every bit, videos give all of theirs with --deep."""
import io
import unittest

import cv2
import numpy

from store_program import StoreTestCase, numbered_stack

HEIGHT, WIDTH, COUNT = 16, 48, 3
MOST = 1023


def luma_of(number):
    """Gray levels of limited range, all of the range and a little different in every frame."""
    return (64 + (numpy.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * 876 // (HEIGHT * WIDTH - 1) + number) % 877)


def expected_gray(number):
    return (luma_of(number) - 64) * MOST / 876


class DeepVideo(StoreTestCase):
    def setUp(self):
        super().setUp()
        self.video = self.folder / "ten.y4m"
        chroma = numpy.full(HEIGHT * WIDTH // 2, 512, "<u2").tobytes()
        with open(self.video, "wb") as out:
            out.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F25:1 Ip A1:1 C420p10\n".encode())
            for number in range(COUNT):
                out.write(b"FRAME\n" + luma_of(number).astype("<u2").tobytes() + chroma)

    def image(self, index, *options):
        result = self.ok("get", self.video, "--index", index, "-o", "-", "--as", "npy", *options, binary=True)
        return numpy.load(io.BytesIO(result.out))

    def assert_deep(self, image, number, channels=3):
        self.assertEqual(image.dtype, numpy.uint16)
        self.assertEqual(image.shape, (HEIGHT, WIDTH, 3) if channels == 3 else (HEIGHT, WIDTH))
        planes = numpy.dsplit(image, 3) if channels == 3 else [image]
        for plane in planes:
            self.assertLess(numpy.abs(plane.reshape(HEIGHT, WIDTH) - expected_gray(number)).max(), 0.56)

    def test_get(self):
        for number in (2, 0, 1):
            self.assert_deep(self.image(number, "--deep"), number)
            self.assert_deep(self.image(number, "--deep", "--gray"), number, channels=1)
            plain = self.image(number)
            self.assertEqual((plain.dtype, plain.shape), (numpy.uint8, (HEIGHT, WIDTH, 3)))
            self.assertLess(numpy.abs(plain[..., 1] - expected_gray(number) * 255 / MOST).max(), 1.1)
            self.assertEqual(self.image(number, "--gray").dtype, numpy.uint8)

    def test_files_of_16_bits(self):
        for extension in (".png", ".tif"):
            path = self.folder / f"frame{extension}"
            self.ok("get", self.video, "--index", 1, "--deep", "-o", path)
            self.assert_deep(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), 1)

    def test_extract(self):
        for number, image in enumerate(self.extracted(self.video, "--deep")):
            self.assert_deep(image, number)
        self.assertEqual(self.extracted(self.video).dtype, numpy.uint8)

    def test_save(self):
        for chunk_format in ("npy", "png", "tif"):
            store = self.folder / f"{chunk_format}_store"
            self.ok("save", self.video, store, "--format", chunk_format, "--deep")
            for number, image in enumerate(self.extracted(store)):
                self.assert_deep(image, number)
        gray = self.folder / "gray"
        self.ok("save", self.video, gray, "--format", "npy", "--deep", "--gray")
        for number, image in enumerate(self.extracted(gray)):
            self.assert_deep(image, number, channels=1)

    def test_formats_of_8_bits_refuse(self):
        self.ok("save", self.video, self.folder / "plain")
        self.ok("save", self.video, self.folder / "refused", "--deep", code=1)


def every_value(count, channels):
    """Noise of all 16 bits, the ends of the range among them."""
    shape = (count, HEIGHT, WIDTH) if channels == 1 else (count, HEIGHT, WIDTH, channels)
    images = numpy.random.default_rng(channels).integers(0, 65536, shape, dtype=numpy.uint16)
    images[:, 0, 0], images[:, -1, -1] = 0, 65535
    return images


def floats(count, dtype, channels=1):
    shape = (count, HEIGHT, WIDTH) if channels == 1 else (count, HEIGHT, WIDTH, channels)
    images = (numpy.random.default_rng(7).normal(size=shape) * 1e3).astype(dtype)
    flat = images.reshape(count, -1)
    flat[:, :6] = numpy.nan, numpy.inf, -numpy.inf, -0.0, numpy.finfo(dtype).tiny / 4, numpy.finfo(dtype).max
    return images


class DeepImages(StoreTestCase):
    """The same bits on every way: image files, folders of them, stacks, stores, what is extracted from them."""

    def assert_same(self, images, expected):
        self.assertEqual((images.dtype, images.shape), (expected.dtype, expected.shape))
        self.assertEqual(images.tobytes(), expected.tobytes())

    def write_folder(self, images, extension):
        folder = self.folder / f"source_{extension}"
        folder.mkdir()
        for number, image in enumerate(images):
            self.assertTrue(cv2.imwrite(str(folder / f"{number}.{extension}"), image))
        return folder

    def check_ways_out(self, store, expected, extensions):
        self.assert_same(self.extracted(store), expected)
        for extension in extensions:
            single = self.folder / f"{store.name}.{extension}"
            self.ok("get", store, "--index", 1, "-o", single)
            pattern = self.folder / f"{store.name}_{extension}" / ("f_{:02d}." + extension)
            self.ok("extract", store, pattern)
            written = [single, *(pattern.parent / f"f_{number:02d}.{extension}" for number in range(len(expected)))]
            for path, image in zip(written, [expected[1], *expected]):
                read = numpy.load(path) if extension == "npy" else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
                self.assert_same(read, image)

    def test_16_bits(self):
        for channels in (1, 3):
            images = every_value(3, channels)
            for extension in ("png", "tif"):
                folder = self.write_folder(images, extension)
                self.assert_same(self.extracted(folder), images)
                for chunk_format in ("png", "tif", "npy", "bpk", "ppm") if extension == "png" else ("tif",):
                    store = self.folder / f"{extension}_{chunk_format}_{channels}"
                    self.ok("save", folder, store, "--format", chunk_format, "--time", "fps:25")
                    ways = ["png", "tif", "npy"] if (extension, chunk_format) == ("png", "tif") else []
                    self.check_ways_out(store, images, ways)
                folder.rename(self.folder / f"done_{extension}_{channels}")

    def test_floats(self):
        for dtype, formats in (("float32", ["npy", "tif", "bpk"]), ("float64", ["npy", "tif", "bpk"]),
                               ("float16", ["npy", "bpk"])):
            images = floats(3, numpy.dtype(dtype))
            for chunk_format in formats:
                store = self.save_stack(images, f"{dtype}_{chunk_format}", "--format", chunk_format)
                self.check_ways_out(store, images, ["tif", "npy"] if chunk_format == "tif" else [])
        images = floats(2, numpy.float32, channels=3)
        for chunk_format in ("npy", "tif", "bpk"):
            store = self.save_stack(images, f"color_{chunk_format}", "--format", chunk_format)
            self.check_ways_out(store, images, ["tif"] if chunk_format == "npy" else [])

    def test_targets_of_8_bits_refuse(self):
        store = self.save_stack(every_value(2, 1), "store", "--format", "png")
        single = self.folder / "single.jpg"
        self.assert_refused(self.ok("get", store, "--index", 0, "-o", single, code=1), 1, "uint16", "png", "tif")
        for out in ("a.bmp", "b.jpg", "c.avi", "out/d_{:03d}.jpg"):
            result = self.ok("extract", store, self.folder / out, code=1)
            self.assert_refused(result, 1, "uint16", "npy")
            self.assertFalse((self.folder / out).exists())
        for chunk_format in ("jpg", "bmp", "mjpeg/avi"):
            refused = self.ok("save", store, self.folder / "refused", "--format", chunk_format, code=1)
            self.assert_refused(refused, 1, "uint16", "npy")
            self.assertFalse((self.folder / "refused").exists())
        images = floats(2, numpy.float32)
        numpy.save(self.folder / "f.npy", images)
        refused = self.ok("save", self.folder / "f.npy", self.folder / "refused", "--format", "png", code=1)
        self.assert_refused(refused, 1, "float32", "tif", "npy")


class Arrays(StoreTestCase):
    """Arrays of any order of bytes and elements, as numpy writes them."""

    def spellings(self, images):
        yield images
        yield numpy.asfortranarray(images)
        if images.dtype.itemsize > 1:
            yield images.astype(images.dtype.newbyteorder(">"))
            yield numpy.asfortranarray(images.astype(images.dtype.newbyteorder(">")))

    def test_stacks_images_and_chunks(self):
        for dtype in ("bool", "int8", "uint16", "int32", "float16", "float32"):
            for channels in (1, 3) if dtype == "uint16" else (1,):
                values = numbered_stack(3, 20, 32, channels).astype(numpy.float64)
                images = values > 100 if dtype == "bool" else (values - 60).astype(dtype)
                expected = images.astype(numpy.uint8) if dtype == "bool" else images
                spellings = list(self.spellings(images))
                for number, array in enumerate(spellings if dtype in ("uint16", "float32") else spellings[-1:]):
                    with self.subTest(dtype=dtype, channels=channels, number=number):
                        path = self.folder / "stack.npy"
                        numpy.save(path, array)
                        read = self.extracted(path)
                        self.assertEqual(read.dtype, expected.dtype)
                        numpy.testing.assert_array_equal(read, expected)
                if dtype in ("bool", "uint16"):
                    self.check_image_files(images, expected, f"{dtype}_{channels}")

    def check_image_files(self, images, expected, name):
        """A folder of arrays, and a store of imgstore's whose arrays lie in memory in other ways."""
        store = self.save_stack(expected, name, "--format", "npy", "--chunk-frames", 2)
        folder = self.folder / f"{name}_folder"
        folder.mkdir()
        for number, image in enumerate(images):
            array = list(self.spellings(image))[-1]
            numpy.save(folder / f"{number}.npy", array)
            if images.dtype != bool:
                numpy.save(store / f"{number // 2:06d}" / f"{number % 2:06d}.npy", array)
        numpy.testing.assert_array_equal(self.extracted(folder), expected)
        (store / "index.sqlite").unlink()
        numpy.testing.assert_array_equal(self.extracted(store), expected)

    def test_wide_whole_numbers_become_doubles(self):
        for dtype in ("uint32", "int64", "uint64"):
            with self.subTest(dtype):
                array = numpy.arange(2 * 20 * 32, dtype=dtype).reshape(2, 20, 32) * 3000000
                numpy.save(self.folder / "wide.npy", array)
                read = self.extracted(self.folder / "wide.npy")
                self.assertEqual(read.dtype, numpy.float64)
                numpy.testing.assert_array_equal(read, array)

    def test_what_cannot_be_pixels(self):
        for dtype in ("complex64", "U2", "datetime64[s]"):
            with self.subTest(dtype):
                numpy.save(self.folder / "bad.npy", numpy.zeros((2, 20, 32), dtype))
                result = self.ok("info", self.folder / "bad.npy", code=1)
                self.assert_refused(result, 1, "bad.npy", "float32")
        records = numpy.zeros((2, 20, 32), [("a", "<f4"), ("b", "<u2")])
        numpy.save(self.folder / "bad.npy", records)
        self.assert_refused(self.ok("info", self.folder / "bad.npy", code=1), 1, "fields")
        for shape in ("(4294967296, 4294967296, 4294967296)", "(-2, 20, 32)", "(2, 20)L", "(9999999999999999999999, 2)",
                      "(2, 70000, 70000)", "(1000000000, 20, 32)"):
            with self.subTest(shape):
                header = "{'descr': '|u1', 'fortran_order': True, 'shape': %s, }" % shape
                (self.folder / "bad.npy").write_bytes(
                    b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + b"\0" * 1000)
                self.assert_refused(self.ok("info", self.folder / "bad.npy", code=1), 1, "bad.npy")
        header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2L, 3L, 20L), }"
        data = numpy.arange(120, dtype=numpy.uint8).reshape(2, 3, 20)
        (self.folder / "old.npy").write_bytes(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() +
                                              data.tobytes(order="F"))
        numpy.testing.assert_array_equal(self.extracted(self.folder / "old.npy"), data)


if __name__ == "__main__":
    unittest.main()
