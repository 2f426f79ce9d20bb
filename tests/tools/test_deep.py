"""Videos with more than 8 bits a sample: 8-bit images as a rule, all of the bits with --deep."""
import io
import unittest

import cv2
import numpy

from store_program import StoreTestCase

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


if __name__ == "__main__":
    unittest.main()
