"""Stacks of floats without a header, as numpy writes them."""
import unittest

import numpy

from store_program import StoreTestCase


class FloatDatFiles(StoreTestCase):
    def test_files_of_numpy(self):
        frames = numpy.random.default_rng(3).normal(size=(4, 6, 20)).astype("<f4")
        frames[1, 2, 3] = numpy.nan
        path = self.folder / "filtered_20x6x4.dat"
        frames.tofile(path)
        facts = self.json_of("info", path)
        self.assertEqual(facts["frame_count"], 4)
        self.assertEqual(facts["dtype"], "float32")
        self.assertEqual(facts["image_shape"], [6, 20])
        self.assertEqual(self.extracted(path, "--index", "1:4").tobytes(), frames[1:].tobytes())


if __name__ == "__main__":
    unittest.main()
