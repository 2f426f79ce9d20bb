"""SPE files, read by `store` and by imageio's reader of them."""
import struct
import unittest
import warnings

import imageio
import numpy

from store_program import StoreTestCase

# imageio 2.4 asks for a function that numpy 1.23 took away.
if not hasattr(numpy, "asscalar"):
    numpy.asscalar = lambda array: array.item()

HEADER_BYTES = 4100
TYPES = {0: "<f4", 1: "<i4", 2: "<i2", 3: "<u2", 4: "<u4"}


def write_spe(path, frames, code, announced=None):
    count, height, width = frames.shape
    head = bytearray(HEADER_BYTES)
    fields = [(10, "<f", 0.005), (20, "10s", b"31Jan2020"), (42, "<H", width), (108, "<h", code), (172, "7s", b"235958"),
              (200, "80s", b"first"), (440, "80s", b"fourth"), (656, "<H", height),
              (1446, "<i", count if announced is None else announced), (1510, "<h", 1),
              (1512, "<6H", (3, 3 + width - 1, 1, 5, 5 + height - 1, 1)), (1992, "<f", 2.5)]
    for offset, kind, value in fields:
        struct.pack_into(kind, head, offset, *(value if isinstance(value, tuple) else (value,)))
    path.write_bytes(bytes(head) + frames.astype(TYPES[code]).tobytes())


class SpeFiles(StoreTestCase):
    def test_pixels_are_those_that_imageio_reads(self):
        for code in TYPES:
            with self.subTest(data_type=code):
                path = self.folder / f"type{code}.spe"
                numbers = numpy.arange(3 * 6 * 20).reshape(3, 6, 20) * 11
                if code == 4:
                    numbers += 0x80000000
                write_spe(path, numbers, code)
                with imageio.get_reader(path, "SPE") as reader:
                    frames = numpy.stack([numpy.asarray(frame) for frame in reader])
                self.assertTrue((frames == numbers).all())
                ours = self.extracted(path)
                self.assertEqual(ours.dtype, numpy.dtype("f8" if code == 4 else TYPES[code]))
                self.assertTrue((ours == frames).all())

    def test_facts_are_those_that_imageio_reads(self):
        path = self.folder / "run.spe"
        write_spe(path, numpy.zeros((3, 6, 20)), 3, announced=9)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with imageio.get_reader(path, "SPE") as reader:
                meta = reader.get_meta_data()
                count = reader.get_length()
        facts = self.json_of("info", path)
        metadata = facts["user_metadata"]
        self.assertEqual(facts["frame_count"], count)
        self.assertEqual([text for text in meta["comments"] if text.strip("\0 ")], metadata["comments"])
        self.assertAlmostEqual(metadata["exposure_microseconds"], meta["exposure_sec"] * 1e6, places=2)
        self.assertEqual(metadata["date"], meta["date"].rstrip("\0"))
        region = metadata["regions"][0]
        self.assertEqual([region["first_column"], region["first_row"]], list(meta["ROIs"][0]["top_left"]))
        self.assertEqual([region["last_column"], region["last_row"]], list(meta["ROIs"][0]["bottom_right"]))
        self.assertIn("cut off", " ".join(facts["warnings"]))


if __name__ == "__main__":
    unittest.main()
