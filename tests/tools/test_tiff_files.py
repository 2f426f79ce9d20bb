"""TIFF files of other programs, and ours as other programs see them."""
import unittest

import cv2
import numpy
import PIL.features
import PIL.Image
import tifffile

from store_program import DATA_LOST, FAILED, USAGE, StoreTestCase, numbered_stack, run

HEIGHT, WIDTH = 20, 33


def stack(count, dtype=numpy.uint8, channels=1):
    return numbered_stack(count, HEIGHT, WIDTH, channels, dtype)


class TiffFiles(StoreTestCase):
    def assert_reads(self, path, images, *options):
        """All frames in order; colour images are RGB."""
        frames = self.extracted(path, *options)
        expected = images[..., [2, 1, 0, 3][:images.shape[-1]]] if images.ndim == 4 else images
        self.assertEqual(frames.dtype, expected.dtype)
        numpy.testing.assert_array_equal(frames, expected)

    def test_files_of_tifffile(self):
        cases = {
            "plain": (stack(5), {}),
            "uint16": (stack(5, numpy.uint16), {}),
            "big": (stack(5, numpy.uint16), {"bigtiff": True}),
            "big_endian": (stack(5, numpy.uint16), {"byteorder": ">"}),
            "float32": (stack(5, numpy.float32), {}),
            "float64_big_endian": (stack(5, numpy.float64), {"byteorder": ">"}),
            "zlib": (stack(5, numpy.uint16), {"compression": "zlib"}),
            "zlib_predictor": (stack(5, numpy.uint16), {"compression": "zlib", "predictor": True}),
            "tiles": (stack(5), {"tile": (16, 16)}),
            "zlib_tiles": (stack(5, numpy.uint16), {"tile": (16, 16), "compression": "zlib"}),
            "rows": (stack(5), {"rowsperstrip": 3}),
            "rgb": (stack(5, channels=3), {"photometric": "rgb"}),
            "rgb_tiles_16": (stack(5, numpy.uint16, 3), {"photometric": "rgb", "tile": (16, 16)}),
            "one_directory": (stack(5, numpy.uint16), {"truncate": True}),
            "int16": ((stack(5).astype(numpy.int16) - 100), {}),
        }
        for name, (images, options) in cases.items():
            with self.subTest(name):
                path = self.folder / f"{name}.tif"
                options.setdefault("photometric", "minisblack")
                tifffile.imwrite(path, images, **options)
                self.assert_reads(path, images)
        for extra in ([], [cv2.IMWRITE_TIFF_COMPRESSION, 5]):
            colour = stack(1, numpy.uint16, 3)
            cv2.imwrite(str(self.folder / "opencv.tif"), colour[0], extra)
            numpy.testing.assert_array_equal(self.extracted(self.folder / "opencv.tif"), colour)
        planar = stack(4, numpy.uint16, 3)
        tifffile.imwrite(self.folder / "planar.tif", planar.transpose(0, 3, 1, 2), photometric="rgb",
                         planarconfig="separate")
        self.assert_reads(self.folder / "planar.tif", planar)

    def test_imagej(self):
        images = stack(6, numpy.uint16)
        path = self.folder / "hyperstack.tif"
        tifffile.imwrite(path, images.reshape(3, 2, HEIGHT, WIDTH), imagej=True, resolution=(4, 4),
                         metadata={"axes": "TZYX", "finterval": 0.04, "unit": "um"})
        self.assert_reads(path, images)
        info = self.json_of("info", path)
        self.assertAlmostEqual(info["frame_rate"], 25)

    def test_pages_of_different_sizes(self):
        path = self.folder / "mixed.tif"
        images = stack(3)
        with tifffile.TiffWriter(path) as file:
            file.write(images[0], photometric="minisblack", metadata=None)
            file.write(images[1], photometric="minisblack", metadata=None)
            file.write(images[2][:10, :10], photometric="minisblack", metadata=None)
        frames = self.folder / "frames.npy"
        result = run("extract", path, frames)
        self.assertIn(result.code, (FAILED, DATA_LOST))
        self.assertIn("10x10", result.err)
        self.assertIn(f"{HEIGHT}x{WIDTH}", result.err)

    def test_files_of_pillow(self):
        images = stack(3)
        for compression in ("tiff_lzw", "packbits", "tiff_adobe_deflate", "zstd", "group4"):
            with self.subTest(compression):
                path = self.folder / f"{compression}.tiff"
                source = images if compression != "group4" else (images > 128) * numpy.uint8(255)
                pages = [PIL.Image.fromarray(image) for image in source]
                if compression == "group4":
                    pages = [page.convert("1") for page in pages]
                pages[0].save(path, save_all=True, append_images=pages[1:], compression=compression)
                self.assert_reads(path, source)
        for mode in ("P", "CMYK", "YCbCr"):
            with self.subTest(mode):
                path = self.folder / f"{mode}.tif"
                image = PIL.Image.fromarray(numbered_stack(1, 32, 64, 3)[0]).convert(mode)
                image.save(path, compression="jpeg" if mode == "YCbCr" else None)
                frame = self.extracted(path)[0].astype(int)
                seen = numpy.array(PIL.Image.open(path).convert("RGB")).astype(int)[..., ::-1]
                self.assertLessEqual(numpy.abs(frame - seen).max(), 2 if mode != "P" else 0)

    def test_our_files(self):
        for dtype, channels in ((numpy.uint16, 1), (numpy.float32, 1), (numpy.uint8, 3)):
            images = stack(4, dtype, channels)
            source = self.folder / "source.npy"
            numpy.save(source, images)
            expected = images[..., ::-1] if channels == 3 else images
            for big in ("auto", "yes"):
                with self.subTest(dtype=dtype, channels=channels, big=big):
                    path = self.folder / f"{numpy.dtype(dtype).name}_{channels}_{big}.tif"
                    self.ok("extract", source, path, "--set", f"bigtiff={big}")
                    with tifffile.TiffFile(path) as file:
                        self.assertEqual(file.is_bigtiff, big == "yes")
                        self.assertEqual(len(file.series), 1)
                    numpy.testing.assert_array_equal(tifffile.imread(path), expected)
                    numpy.testing.assert_array_equal(tifffile.memmap(path, mode="r"), expected)
            source.unlink()
            read, pages = cv2.imreadmulti(str(path), flags=cv2.IMREAD_UNCHANGED)
            self.assertTrue(read)
            numpy.testing.assert_array_equal(numpy.stack(pages), images)

    def test_our_compressed_files(self):
        images = stack(4, numpy.uint16)
        numpy.save(self.folder / "source.npy", images)
        for compression in ("lzw", "deflate", "zstd"):
            for predictor in ("yes", "no"):
                with self.subTest(compression=compression, predictor=predictor):
                    path = self.folder / f"{compression}_{predictor}.tif"
                    self.ok("extract", self.folder / "source.npy", path, "--set", f"compression={compression}", "--set",
                            f"predictor={predictor}")
                    with PIL.Image.open(path) as file:
                        self.assertEqual(file.n_frames, 4)
                        for index in range(4):
                            file.seek(index)
                            numpy.testing.assert_array_equal(numpy.array(file), images[index])
                    self.assertLess(path.stat().st_size, images.nbytes + 2000)
        result = run("extract", self.folder / "source.npy", self.folder / "x.tif", "--set", "compression=jpeg")
        self.assertIn(result.code, (FAILED, USAGE))
        self.assertFalse((self.folder / "x.tif").exists())


if __name__ == "__main__":
    unittest.main()
