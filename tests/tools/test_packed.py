"""Packed arrays, read by programs that know nothing of reelstore: numpy, zstd and the reader in spec/."""
import pathlib
import shutil
import subprocess
import sys
import unittest

import numpy

from store_program import HERE, StoreTestCase, hash_of_pixels, numbered_stack, run

READ_RPZ = HERE.parents[1] / "spec" / "read_rpz.py"

class Packed(StoreTestCase):
    def stacks(self):
        noise = numpy.random.default_rng(3)
        for dtype in ("uint8", "uint16", "int16", "float32"):
            for channels in (1, 3):
                yield f"{dtype}_{channels}", numbered_stack(7, channels=channels, dtype=numpy.dtype(dtype))
        yield "odd", noise.integers(0, 65536, (7, 33, 47), dtype=numpy.uint16)
        yield "floats", noise.normal(size=(7, 20, 31)).astype(numpy.float64)

    def save(self, images, name, *options):
        return self.save_stack(images, name, "--chunk-frames", 4, *options)

    def parts(self, store, extension):
        return [store / f"{chunk:06d}{extension}" for chunk in (0, 1)]

    def test_numpy_opens_raw_chunks(self):
        for name, images in self.stacks():
            with self.subTest(name):
                store = self.save(images, name, "--format", "raw/npy")
                arrays = [numpy.load(path, mmap_mode="r", allow_pickle=False) for path in self.parts(store, ".npy")]
                self.assertEqual([len(array) for array in arrays], [4, 3])
                numpy.testing.assert_array_equal(numpy.concatenate(arrays), images)
                numpy.testing.assert_array_equal(self.extracted(store), images)

    def test_zstd_unpacks_to_the_array(self):
        images = numbered_stack(7, dtype=numpy.uint16)
        store = self.save(images, "store", "--format", "zstd/npy", "--set", "level=3")
        raw = self.save(images, "raw", "--format", "raw/npy")
        for path, expected in zip(self.parts(store, ".npy.zst"), self.parts(raw, ".npy")):
            unpacked = subprocess.run(["zstd", "-dc", path], check=True, stdout=subprocess.PIPE).stdout
            self.assertEqual(unpacked, expected.read_bytes())
        numpy.testing.assert_array_equal(self.extracted(store), images)

    def test_the_reader_in_the_specification(self):
        for name, images in self.stacks():
            # What "small" does is for pixels of 8 bits.
            for effort in ("fast", "small") if images.dtype == numpy.uint8 else ("fast",):
                with self.subTest(name, effort=effort):
                    store = self.save_stack(images, f"{name}_{effort}", "--format", "predicted/rpz", "--set", f"effort={effort}")
                    path = store / "000000.rpz"
                    subprocess.run(["zstd", "-tq"], check=True, input=path.read_bytes())
                    out = self.folder / "out.npy"
                    subprocess.run([sys.executable, READ_RPZ, path, out], check=True, stdout=subprocess.DEVNULL)
                    array = numpy.load(out)
                    self.assertEqual(array.dtype, images.dtype)
                    numpy.testing.assert_array_equal(array.view("u1"), images.view("u1"))
                    self.assertEqual(self.json_of("get", store, "--index", 5)["sha256"], hash_of_pixels(images[5]))

    def test_changed_bytes_are_named(self):
        images = numbered_stack(7)
        for format, extension in (("zstd/npy", ".npy.zst"), ("predicted/rpz", ".rpz")):
            with self.subTest(format):
                store = self.save(images, format[:3], "--format", format)
                path = self.parts(store, extension)[1]
                data = bytearray(path.read_bytes())
                data[200] ^= 1
                path.write_bytes(data)
                result = run("get", store, "--index", 4, "--json")
                self.assert_refused(result, 1, str(path), "position 0")
                self.assertEqual(self.json_of("get", store, "--index", 5)["sha256"], hash_of_pixels(images[5]))

    def test_a_store_without_its_index(self):
        images = numbered_stack(7, channels=3)
        for format in ("raw/npy", "zstd/npy", "predicted/rpz"):
            with self.subTest(format):
                store = self.save(images, format[:3], "--format", format)
                (store / "index.sqlite").unlink()
                copy = pathlib.Path(shutil.copytree(store, self.folder / (format[:3] + "_copy")))
                self.assertEqual(self.json_of("info", copy)["frame_count"], 7)
                numpy.testing.assert_array_equal(self.extracted(copy), images)

if __name__ == "__main__":
    unittest.main()
