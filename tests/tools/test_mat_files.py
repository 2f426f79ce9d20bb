"""MATLAB files between the program, scipy (versions 5 to 7) and h5py (version 7.3)."""
import unittest

import h5py
import numpy
import scipy.io

from store_program import FAILED, StoreTestCase, numbered_stack, run

COUNT = 6
NUMBERS = numpy.arange(COUNT) * 2 + 11
TIMES = 1.7e9 + numpy.arange(COUNT) / 16


def last_is_time(stack):
    return numpy.moveaxis(stack, 0, -1)


class MatFiles(StoreTestCase):
    def test_files_of_scipy(self):
        stack = numbered_stack(COUNT, dtype=numpy.uint16, first=70)
        variables = {"recording": last_is_time(stack), "frame_number": NUMBERS, "frame_time": TIMES,
                     "camera": {"gain": 2.5, "lens": "µm"}, "comment": "two words", "names": ["a", "b"],
                     "background": numbered_stack(1)[0]}
        for compressed in (False, True):
            path = self.folder / f"compressed_{compressed}.mat"
            scipy.io.savemat(path, variables, do_compression=compressed, oned_as="column")
            numpy.testing.assert_array_equal(self.extracted(path), stack)
            info = self.json_of("info", path)
            self.assertEqual((info["frame_count"], info["dtype"]), (COUNT, "uint16"))
            self.assertEqual((info["frame_number_min"], info["frame_number_max"]), (NUMBERS[0], NUMBERS[-1]))
            self.assertEqual((info["frame_time_min"], info["frame_time_max"]), (TIMES[0], TIMES[-1]))
            self.assertEqual(info["user_metadata"]["variables"]["camera"], {"gain": 2.5, "lens": "µm"})
            self.assertEqual(info["user_metadata"]["variables"]["comment"], "two words")
        frame = self.extracted(path, "--open", "field=background")
        numpy.testing.assert_array_equal(frame[0], variables["background"])
        old = self.folder / "old.mat"
        scipy.io.savemat(old, {"a": stack[0]}, format="4")
        self.assert_refused(run("info", old), FAILED, "version 4")

    def test_written_for_scipy(self):
        stack = numbered_stack(COUNT, channels=3, first=9)
        store = self.save_stack(stack, "store", "--format", "raw/npy")
        path = self.folder / "out.mat"
        self.ok("extract", store, path, "--set", "field=first")
        self.ok("extract", store, path, "--index", "2:4", "--gray", "--set", "field=second", "--set", "append=yes",
                "--list", self.folder / "second.csv")
        read = scipy.io.loadmat(path)
        # Colours are red, green, blue there; frames are blue, green, red here.
        numpy.testing.assert_array_equal(read["first"], last_is_time(stack)[:, :, ::-1])
        self.assertEqual(read["second"].shape, (*stack.shape[1:3], 2))
        numpy.testing.assert_array_equal(read["frame_number"], numpy.arange(COUNT)[:, None])
        numpy.testing.assert_array_equal(read["second_frame_number"], [[2], [3]])
        self.assertEqual(read["frame_time"].shape, (COUNT, 1))
        numpy.testing.assert_array_equal(self.extracted(path, "--open", "field=first"), stack)

    def test_files_of_h5py(self):
        stack = numbered_stack(COUNT, dtype=numpy.int16, first=21)
        # HDF5 has the axes in the other order than MATLAB.
        cases = {"chunked": (stack.transpose(0, 2, 1), dict(chunks=(4, 16, 16), compression="gzip")),
                 "plain": (stack.transpose(0, 2, 1), {}),
                 "first": (stack.transpose(2, 1, 0), dict(chunks=(16, 16, 2), compression="gzip", shuffle=True))}
        for name, (array, options) in cases.items():
            path = self.folder / f"{name}.mat"
            with h5py.File(path, "w", userblock_size=512) as file:
                video = file.create_dataset("video", data=array, **options)
                video.attrs["MATLAB_class"] = numpy.bytes_("int16")
                file.create_dataset("frame_time", data=TIMES[None, :]).attrs["MATLAB_class"] = numpy.bytes_("double")
                text = numpy.array([ord(c) for c in "two words"], numpy.uint16)[:, None]
                file.create_dataset("comment", data=text).attrs["MATLAB_class"] = numpy.bytes_("char")
            with open(path, "r+b") as file:
                file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM")
            with self.subTest(name):
                numpy.testing.assert_array_equal(self.extracted(path), stack)
                info = self.json_of("info", path)
                self.assertEqual((info["frame_time_min"], info["frame_time_max"]), (TIMES[0], TIMES[-1]))
                self.assertEqual(info["user_metadata"]["variables"], {"comment": "two words"})

    def test_written_for_h5py(self):
        stack = numbered_stack(COUNT, dtype=numpy.uint16, first=50)
        store = self.save_stack(stack, "store", "--format", "raw/npy")
        path = self.folder / "out.mat"
        self.ok("extract", store, path, "--set", "version=7.3")
        self.assertTrue(path.read_bytes().startswith(b"MATLAB 7.3 MAT-file"))
        with h5py.File(path) as file:
            video = file["video"]
            numpy.testing.assert_array_equal(video[:], stack.transpose(0, 2, 1))
            self.assertEqual((video.dtype, video.chunks, video.attrs["MATLAB_class"]),
                             (numpy.uint16, (1, 64, 48), b"uint16"))
            numpy.testing.assert_array_equal(file["frame_number"], numpy.arange(COUNT)[None, :])
        numpy.testing.assert_array_equal(self.extracted(path), stack)


if __name__ == "__main__":
    unittest.main()
