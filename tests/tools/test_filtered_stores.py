"""--filter in the verbs that write stores: converting and recording."""
import json
import signal
import subprocess
import time
import unittest

import cv2
import numpy

from store_program import (DATA_LOST, DONE, FAILED, GOLDEN, INTERRUPTED, USAGE, StoreTestCase, command, numbered_stack,
                           read_number, run)
from test_follow import RATE, WAIT, Recorded


def mean_of_three(images):
    """Over three frames, those at the ends repeated."""
    longer = numpy.concatenate([images[:1], images, images[-1:]])
    return (longer[:-2] + longer[1:-1] + longer[2:]) / 3


class Convert(StoreTestCase):
    def rows(self, store):
        return [(row["number"], row["time"]) for row in self.lines_of("frames", store)]

    def convert(self, source, filters, *options, format="npy", code=DONE):
        out = self.folder / f"out{len(list(self.folder.iterdir()))}"
        result = self.ok("convert", source, out, "--format", format, "--filter", filters, *options, code=code)
        return out, result

    def test_frames_one_by_one(self):
        images = numbered_stack(40)
        source = self.save_stack(images, "a", "--format", "mjpeg/avi", "--chunk-frames", 15, "--meta", "who=me")
        decoded = self.extracted(source)
        out, result = self.convert(source, "crop=0:0:64:20,invert", "--chunk-frames", 7, "--verify")
        self.assertIn("identical", result.err)
        numpy.testing.assert_array_equal(self.extracted(out), 255 - decoded[:, :20])
        self.assertEqual(self.rows(out), self.rows(source))
        info, before = self.json_of("info", out), self.json_of("info", source)
        for key in ("timezone", "created_utc", "user_metadata"):
            self.assertEqual(info[key], before[key], key)
        self.assertEqual((info["image_shape"], info["chunk_frames"], info["closed"]), ([20, 64], 7, True))
        event, = [event for event in self.lines_of("events", out) if event["kind"] == "copied"]
        self.assertEqual(event["data"]["filters"], "crop=0:0:64:20,invert")
        self.ok("verify", out, "--level", "hash")

    def test_frames_that_depend_on_each_other(self):
        images = numbered_stack(30)
        source = self.save_stack(images, "a", "--format", "npy", "--chunk-frames", 12)
        out, result = self.convert(source, "mean=3", "--chunk-frames", 8, "--verify")
        self.assertIn("identical", result.err)
        numpy.testing.assert_allclose(self.extracted(out).astype(float), mean_of_three(images.astype(float)), atol=1)
        self.assertEqual(self.rows(out), self.rows(source))
        # They see the frames that are selected, in their order.
        out, _ = self.convert(source, "mean=3,invert", "--index", "4:20:5", "--verify")
        numpy.testing.assert_allclose(255 - self.extracted(out).astype(float),
                                      mean_of_three(images[4:20:5].astype(float)), atol=1)
        self.assertEqual(self.rows(out), self.rows(source)[4:20:5])
        out, _ = self.convert(source, "normalize-pixelwise,8bit=0:1", "--verify", format="png")
        self.assertEqual(self.json_of("info", out)["frame_count"], 30)
        out, result = self.convert(source, "skip=7", "--verify", "--json", format="avc1/mp4")
        self.assertEqual(json.loads(result.out)["frames"], 5)
        self.assertEqual(self.rows(out), self.rows(source)[::7])
        self.assertEqual([read_number(image) for image in self.extracted(out)], [0, 7, 14, 21, 28])

    def test_records_and_events(self):
        source = GOLDEN / "npy-color"
        records = self.lines_of("extra", source)
        self.assertTrue(records)
        for filters in ("invert", "mean=3"):
            out, _ = self.convert(source, filters, "--verify")
            self.assertEqual(self.lines_of("extra", out), records)
            self.assertEqual(self.rows(out), self.rows(source))
        again, _ = self.convert(out, "skip=2")
        first, second = [event for event in self.lines_of("events", again) if event["kind"] == "copied"]
        self.assertEqual(sorted(event["data"]["filters"] for event in (first, second)), ["mean=3", "skip=2"])

    def test_raw_images_are_decoded(self):
        out, _ = self.convert(GOLDEN / "npy-bayer", "invert", "--verify", format="png")
        self.assertFalse(self.json_of("info", out)["encoding"])
        numpy.testing.assert_array_equal(self.extracted(out), 255 - self.extracted(GOLDEN / "npy-bayer"))

    def test_damaged_frames(self):
        source = self.save_stack(numbered_stack(12), "a", "--format", "npy")
        for index in (0, 5):
            (source / "000000" / f"{index:06}.npy").write_bytes(b"nothing")
        for filters, expected in (("invert", 10), ("skip=2", 5)):
            out, result = self.convert(source, filters, "--verify", "--json", code=DATA_LOST)
            self.assertIn("2 frames could not be read", result.err)
            self.assertEqual(json.loads(result.out)["frames"], expected)
            self.assertEqual(self.json_of("info", out)["frame_count"], expected)

    def test_refusals(self):
        source = self.save_stack(numbered_stack(4), "a", "--format", "npy")
        out = self.folder / "out"
        for filters, code, words in (("nonsense", USAGE, ["nonsense", "clahe"]), ("invert=3", USAGE, ["invert"]),
                                     ("normalize=type=float32", FAILED, ["behind the filters", "float32", "tif"]),
                                     ("normalize-pixelwise", FAILED, ["behind the filters", "float32", "tif"]),
                                     ("normalize=type=float32,clahe", FAILED, ["clahe"])):
            refused = run("convert", source, out, "--format", "png", "--filter", filters)
            self.assert_refused(refused, code, *words)
            self.assertFalse(out.exists(), filters)
        self.assertEqual(list(self.folder.glob("*.converting")), [])

    def test_interrupted(self):
        many = self.save_stack(numpy.repeat(numbered_stack(1, 240, 320), 400, axis=0), "many", "--format", "npy")
        for filters in ("median=7", "median=7,mean=3"):
            out = self.folder / filters.replace(",", "_")
            process = subprocess.Popen(command("convert", many, out, "--format", "png", "--filter", filters,
                                               "--chunk-frames", 10), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
            while not (out / "000001").exists() and process.poll() is None:
                time.sleep(0.002)
            process.send_signal(signal.SIGINT)
            error = process.communicate(timeout=60)[1].decode()
            self.assertEqual(process.returncode, INTERRUPTED, error)
            info = self.json_of("info", out)
            self.assertTrue(info["closed"] and 10 <= info["frame_count"] < 400, info["frame_count"])
            self.assertEqual(self.rows(out), self.rows(many)[:info["frame_count"]])
            self.ok("verify", out, "--level", "hash")


class Save(Recorded):
    def test_stopped_while_filters_hold_frames(self):
        recording = self.record(6 * RATE, "--format", "npy", "--filter", "mean=7,invert")
        recording.send_signal(signal.SIGINT)
        self.assertEqual(recording.wait(WAIT), INTERRUPTED)
        rows = self.lines_of("frames", self.store)
        self.assertEqual([row["number"] for row in rows], list(range(len(rows))))
        self.assertTrue(self.json_of("info", self.store)["closed"])
        before = len(rows)
        recording = self.record(6 * RATE, "--append", "--filter", "mean=7,invert", wait=False)
        deadline = time.monotonic() + WAIT
        while self.committed() <= before and time.monotonic() < deadline:
            time.sleep(0.02)
        recording.send_signal(signal.SIGTERM)
        self.assertEqual(recording.wait(WAIT), INTERRUPTED)
        self.assertGreater(self.json_of("info", self.store)["frame_count"], before)
        self.ok("verify", self.store, "--level", "frames")
        expected = self.extracted(self.folder / "source", "--index", "0:12", "--filter", "mean=7,invert")
        numpy.testing.assert_array_equal(self.extracted(self.store, "--index", "0:8"), expected[:8])

    def test_a_store_that_is_being_recorded(self):
        recording = self.record(6 * RATE, "--format", "npy")
        self.ok("save", self.store, self.folder / "copy", "--format", "npy", "--filter", "skip=10,invert")
        recording.send_signal(signal.SIGINT)
        self.assertEqual(recording.wait(WAIT), INTERRUPTED)
        numbers = [row["number"] for row in self.lines_of("frames", self.folder / "copy")]
        self.assertTrue(numbers)
        self.assertEqual(numbers, list(range(0, 10 * len(numbers), 10)))
        images = 255 - self.extracted(self.folder / "copy")
        self.assertEqual([read_number(image) for image in images], numbers)

    def test_filters_go_by_the_times_that_are_saved(self):
        numpy.save(self.folder / "stack.npy", numbered_stack(40))
        for place, (times, step, frames) in enumerate((("fps:40", 1, 10), ("fps:20", 1, 20), ("fps:20", 2, 10),
                                                       ("source", 1, 16))):
            out = self.folder / f"out{place}"
            self.ok("save", self.folder / "stack.npy", out, "--format", "npy", "--time", times, "--step", step,
                    "--filter", "rate=10")
            rows = self.lines_of("frames", out)
            self.assertEqual(len(rows), frames, times)
            intervals = numpy.diff([row["time"] for row in rows])
            numpy.testing.assert_allclose(intervals, 0.1, atol=1e-4)

    def test_gray_before_filters(self):
        images = numbered_stack(4, channels=3)
        store = self.save_stack(images, "gray", "--format", "npy", "--gray", "--filter", "crop=0:0:30:20")
        expected = numpy.stack([cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[:20, :30] for image in images])
        numpy.testing.assert_array_equal(self.extracted(store), expected)


if __name__ == "__main__":
    unittest.main()
