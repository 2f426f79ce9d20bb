"""NorPix sequences through the program, against a writer and a reader of their own; Phantom cine files against FFmpeg."""
import subprocess
import unittest

import cv2
import numpy

from norpix_files import read_seq, write_cine, write_compressed_seq, write_raw_seq
from store_program import FAILED, StoreTestCase, numbered_stack, run

START = 1600000000
COUNT = 5


def microseconds(count=COUNT):
    """Times that no two roundings make equal."""
    return [START * 1000000 + 40123 * index + 7 for index in range(count)]


class NorpixSource(StoreTestCase):
    def check(self, path, frames, times, tolerance=1e-6):
        """Pixels and times as the program gives them."""
        pixels = self.extracted(path)
        self.assertEqual(pixels.dtype, frames.dtype)
        numpy.testing.assert_array_equal(pixels, frames)
        rows = self.lines_of("frames", path)
        self.assertEqual([row["number"] for row in rows], list(range(len(frames))))
        numpy.testing.assert_allclose([row["time"] for row in rows], times, rtol=0, atol=tolerance)

    def test_uncompressed(self):
        for version, channels, dtype in ((3, 1, numpy.uint8), (5, 1, numpy.uint16), (4, 3, numpy.uint8)):
            with self.subTest(version=version):
                path = self.folder / f"version_{version}.seq"
                frames = numbered_stack(COUNT, channels=channels, dtype=dtype)
                write_raw_seq(path, frames, microseconds(), version)
                times = [time / 1e6 if version >= 5 else time // 1000 / 1e3 for time in microseconds()]
                self.check(path, frames, times)
        info = self.json_of("info", path)
        self.assertEqual((info["format"], info["frame_count"]), ("NorPix", COUNT))
        self.assertIs(info["times_are_absolute"], True)
        self.assertEqual(info["user_metadata"]["description"], "from Python")

    def test_compressed_with_both_gaps(self):
        frames = numbered_stack(COUNT)
        files = [cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes() for frame in frames]
        decoded = numpy.stack([cv2.imdecode(numpy.frombuffer(file, numpy.uint8), cv2.IMREAD_UNCHANGED)
                               for file in files])
        times = [time // 1000 / 1e3 for time in microseconds()]
        for gap in (8, 16):
            with self.subTest(gap=gap):
                path = self.folder / f"gap_{gap}.seq"
                write_compressed_seq(path, files, microseconds(), frames[0].shape, gap)
                self.check(path, decoded, times)

    def test_a_recording_without_header(self):
        path = self.folder / "died.seq"
        frames = numbered_stack(COUNT, dtype=numpy.uint16)
        write_raw_seq(path, frames, microseconds())
        content = bytearray(path.read_bytes())
        content[:1024] = bytes(1024)
        path.write_bytes(content)
        out = self.folder / "out.npy"
        self.assert_refused(run("extract", path, out), FAILED, "header is empty", "--open width=", "bits=")
        self.ok("extract", path, out, "--open", "width=64", "--open", "height=48", "--open", "bits=16")
        numpy.testing.assert_array_equal(numpy.load(out), frames)

    def test_saved_to_a_store(self):
        path = self.folder / "a.seq"
        frames = numbered_stack(COUNT)
        write_raw_seq(path, frames, microseconds(), 5)
        store = self.folder / "store"
        self.ok("save", path, store, "--format", "npy")
        rows = self.lines_of("frames", store)
        numpy.testing.assert_allclose([row["time"] for row in rows], [time / 1e6 for time in microseconds()], rtol=0,
                                      atol=1e-6)
        numpy.testing.assert_array_equal(self.extracted(store), frames)


class NorpixSink(StoreTestCase):
    def test_what_others_read(self):
        cases = ((1, numpy.uint8, "3", "none"), (1, numpy.uint16, "5", "none"), (3, numpy.uint8, "3", "none"),
                 (1, numpy.uint8, "3", "jpeg"), (3, numpy.uint8, "5", "jpeg"), (1, numpy.uint16, "3", "png"))
        for index, (channels, dtype, version, compression) in enumerate(cases):
            with self.subTest(channels=channels, dtype=dtype.__name__, version=version, compression=compression):
                frames = numbered_stack(COUNT, height=49, width=63, channels=channels, dtype=dtype)
                source = self.folder / f"in_{index}.seq"
                # Version 5, so that there are microseconds to lose.
                write_raw_seq(source, frames, microseconds(), 5)
                out = self.folder / f"out_{index}.seq"
                self.ok("extract", source, out, "--set", f"version={version}", "--set", f"compression={compression}")
                facts, images, times = read_seq(out)
                self.assertEqual(facts["version"], int(version))
                self.assertEqual((facts["width"], facts["height"], facts["frames"]), (63, 49, COUNT))
                self.assertAlmostEqual(facts["rate"], 1 / 0.040123, delta=1)
                self.assertEqual(facts["true_size"] % 512, 0)
                tolerance = 0.6e-6 if version == "5" else 0.51e-3
                numpy.testing.assert_allclose(times, [time / 1e6 for time in microseconds()], rtol=0, atol=tolerance)
                self.assertEqual(len(images), COUNT)
                for image, frame in zip(images, frames):
                    if compression == "jpeg":
                        frame = cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 80])[1],
                                             cv2.IMREAD_UNCHANGED)
                    numpy.testing.assert_array_equal(image, frame)

    def test_refused(self):
        source = self.folder / "float.npy"
        numpy.save(source, numbered_stack(2, dtype=numpy.float32))
        out = self.folder / "out.seq"
        self.assert_refused(run("extract", source, out), FAILED, "uint16", "npy")
        self.assertFalse(out.exists())


class Cine(StoreTestCase):
    def test_the_same_pixels_as_ffmpeg(self):
        cases = (("gray", numbered_stack(COUNT), 0),
                 ("gray16le", numbered_stack(COUNT, dtype=numpy.uint16), 0),
                 ("bgr24", numbered_stack(COUNT, channels=3), 0),
                 ("gray16le", numbered_stack(COUNT, dtype=numpy.uint16) >> 6, 10))
        times = [START + index / 512 for index in range(COUNT)]
        for pixel_format, frames, packed_bits in cases:
            with self.subTest(pixel_format=pixel_format, packed_bits=packed_bits):
                path = self.folder / f"{pixel_format}_{packed_bits}.cine"
                write_cine(path, frames, times, packed_bits, first_number=-3)
                decoded = subprocess.run(["ffmpeg", "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt",
                                          pixel_format, "-"], stdout=subprocess.PIPE, check=True).stdout
                theirs = numpy.frombuffer(decoded, frames.dtype).reshape(frames.shape)
                # FFmpeg spreads packed values over 16 bits.
                theirs = theirs >> (16 - packed_bits) if packed_bits else theirs
                ours = self.extracted(path)
                numpy.testing.assert_array_equal(ours, theirs)
                numpy.testing.assert_array_equal(ours, frames)
        rows = self.lines_of("frames", path)
        self.assertEqual([row["number"] for row in rows], list(range(-3, COUNT - 3)))
        numpy.testing.assert_allclose([row["time"] for row in rows], times, rtol=0, atol=1e-6)
        self.assertEqual([row["exposure_seconds"] for row in self.lines_of("extra", path)], [1 / 1024] * COUNT)


if __name__ == "__main__":
    unittest.main()
