"""Arrays that numpy wrote, read by the program."""
import unittest

import numpy

from store_program import FAILED, StoreTestCase, numbered_stack, read_number, run

COUNT = 5


class NpzFiles(StoreTestCase):
    def numbers_in(self, path, *options):
        return [read_number(frame) for frame in self.extracted(path, *options)]

    def test_archives(self):
        stack = numbered_stack(COUNT, dtype=numpy.uint16, first=40)
        arrays = {"note": numpy.array("text"), "anything": numpy.array([{"a": 1}], dtype=object),
                  "background": numbered_stack(1)[0], "recording": stack,
                  "frame_number": numpy.arange(COUNT) * 3 + 7, "frame_time": 1.7e9 + numpy.arange(COUNT) / 8}
        for save, name in ((numpy.savez, "stored.npz"), (numpy.savez_compressed, "deflated.npz")):
            path = self.folder / name
            save(path, **arrays)
            numpy.testing.assert_array_equal(self.extracted(path), stack)
            info = self.json_of("info", path)
            self.assertEqual((info["format"], info["frame_count"], info["dtype"]), ("npz", COUNT, "uint16"))
            self.assertEqual((info["frame_number_min"], info["frame_number_max"]), (7, 7 + 3 * (COUNT - 1)))
            self.assertEqual(info["frame_time_min"], 1.7e9)
            self.assertIs(info["times_are_absolute"], True)
        frame = self.extracted(path, "--open", "field=background")
        self.assertEqual(read_number(frame[0]), 0)
        self.assert_refused(run("info", path, "--open", "field=missing"), FAILED, "missing", "recording")

    def test_layouts(self):
        stack = numbered_stack(COUNT, first=3)
        last = self.folder / "last.npy"
        mapped = numpy.lib.format.open_memmap(last, mode="w+", dtype=numpy.uint8, shape=(*stack.shape[1:], COUNT))
        mapped[:] = numpy.moveaxis(stack, 0, -1)
        mapped.flush()
        numpy.testing.assert_array_equal(self.extracted(last, "--open", "layout=hwn"), stack)
        fortran = self.folder / "fortran.npy"
        numpy.save(fortran, numpy.asfortranarray(stack.astype(">f4")))
        numpy.testing.assert_array_equal(self.extracted(fortran), stack.astype(numpy.float32))


if __name__ == "__main__":
    unittest.main()
