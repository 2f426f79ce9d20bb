"""Video besides H.264 and Motion JPEG: lossless formats, HEVC, AV1, images of more than 8 bits."""
import json
import shutil
import unittest

import numpy

from store_program import FAILED, USAGE, StoreTestCase, numbered_stack, read_number, run

COUNT = 40


class VideoFormats(StoreTestCase):
    def stack_of(self, bits, channels=1):
        stack = numbered_stack(COUNT, 64, 96, channels, numpy.uint16 if bits > 8 else numpy.uint8)
        return stack >> (16 - bits) if bits > 8 else stack

    def numbers(self, frames, bits=8):
        return [read_number(frame << (16 - bits) if bits > 8 else frame) for frame in frames]

    def test_copy_takes_every_codec_in(self):
        for place, (name, bits, channels, options) in enumerate((
                ("hevc/mp4", 8, 3, ["--set", "bframes=2"]), ("hevc/mp4", 12, 1, ["--set", "bits=12", "--set", "pix_fmt=gray"]),
                ("av1/mkv", 8, 3, []), ("av1/mkv", 8, 1, ["--set", "tune=none"]), ("ffv1/mkv", 8, 3, []),
                ("ffv1/mkv", 16, 1, []), ("ffv1/mkv", 10, 3, ["--set", "bits=10"]))):
            with self.subTest(format=name, bits=bits, channels=channels):
                images = self.stack_of(bits, channels)
                store = self.save_stack(images, f"store{place}", "--format", name, "--set", "threads=1", *options)
                frames = self.extracted(store)
                if name == "ffv1/mkv":
                    self.assertTrue(numpy.array_equal(frames, images))
                self.assertEqual(self.numbers(frames, bits), list(range(COUNT)))
                chunk = next(store.glob("000000.m*"))
                video = self.folder / f"video{place}{chunk.suffix}"
                shutil.copy(chunk, video)
                copy = self.folder / f"copy{place}"
                self.ok("save", video, copy, "--copy", "--chunk-frames", 12)
                self.ok("verify", copy, "--level", "hash")
                info = self.json_of("info", copy)
                self.assertEqual(info["format"], name)
                # Streams do not tell gray images from colour.
                copied = self.extracted(copy, *(["--gray"] if channels == 1 else []))
                if channels == 3 or info["image_shape"] == [64, 96]:
                    self.assertTrue(numpy.array_equal(copied, frames))
                self.assertEqual(self.numbers(copied, bits), list(range(COUNT)))
                self.assertGreater(len(info["chunks"]), 1)
                part = self.folder / f"part{place}"
                first, last = (15, 30) if chunk.suffix == ".mkv" else (7, 22)
                self.ok("copy", store, part, "--index", f"{first}:{last}")
                self.assertTrue(numpy.array_equal(self.extracted(part), frames[first:last]))

    def test_bits(self):
        numpy.save(self.folder / "deep.npy", self.stack_of(16))
        numpy.save(self.folder / "ten.npy", self.stack_of(10))
        store = self.folder / "store"
        for name in ("avc1/mp4", "hevc/mp4", "av1/mkv", "h264-lossless/mp4"):
            result = run("save", self.folder / "ten.npy", store, "--format", name)
            self.assert_refused(result, FAILED, "bits=10", "ffv1/mkv")
            shutil.rmtree(store, ignore_errors=True)
            result = run("save", self.folder / "deep.npy", store, "--format", name, "--set", "bits=10")
            self.assertEqual(result.code, FAILED)
            self.assertIn("10 bits", result.err)
            shutil.rmtree(store)
            self.ok("save", self.folder / "ten.npy", store, "--format", name, "--set", "bits=10")
            frames = self.extracted(store)
            self.assertEqual(frames.dtype, numpy.uint16)
            self.assertEqual(self.numbers(frames, 10), list(range(COUNT)))
            if "lossless" in name:
                self.assertTrue(numpy.array_equal(frames, self.stack_of(10)))
            shutil.rmtree(store)

    def test_formats_says_why_not(self):
        formats = {entry["name"]: entry for entry in json.loads(self.ok("formats", "--json").out)["chunk_formats"]}
        self.assertTrue(formats["ffv1/mkv"]["lossless"] and formats["h264-lossless/mp4"]["lossless"])
        self.assertFalse(formats["hevc/mp4"]["lossless"])
        self.assertIn("bits", [option["name"] for option in formats["ffv1/mkv"]["options"]])
        encoder = formats["hevc/mp4"]["options"][0]
        self.assertEqual((encoder["name"], encoder["default"]), ("encoder", "libx265"))
        if "no NVIDIA driver" in encoder["help"]:
            source = self.folder / "source.npy"
            numpy.save(source, self.stack_of(8))
            result = run("save", source, self.folder / "store", "--format", "hevc/mp4", "--set", "encoder=hevc_nvenc")
            self.assert_refused(result, FAILED, "hevc_nvenc", "no NVIDIA driver")
            self.assertFalse((self.folder / "store").exists())
        numpy.save(self.folder / "small.npy", self.stack_of(8)[:, :40])
        result = run("save", self.folder / "small.npy", self.folder / "store", "--format", "av1/mkv")
        self.assert_refused(result, FAILED, "63 pixels", "ffv1/mkv")


if __name__ == "__main__":
    unittest.main()
