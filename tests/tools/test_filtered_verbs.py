"""--filter in the verbs that look frames up and play them, and the help about filters."""
import json
import re
import shlex
import signal
import unittest

import cv2
import numpy

from store_program import (DATA_LOST, DONE, FAILED, INTERRUPTED, USAGE, StoreTestCase, hash_of_pixels, numbered_stack,
                           read_number, run)
from test_follow import RATE, WAIT, FollowView, Recorded

OFFSCREEN = FollowView.environment()
VERBS_WITH_FILTERS = ("get", "view", "extract", "save", "convert")


def mean_of_three(images):
    """Over three frames, those at the ends repeated."""
    longer = numpy.concatenate([images[:1], images, images[-1:]])
    return (longer[:-2] + longer[1:-1] + longer[2:]) / 3


class Lookups(StoreTestCase):
    def got(self, store, *options):
        out = self.folder / "got.npy"
        facts = json.loads(self.ok("get", store, *options, "-o", out, "--force", "--json").out)
        image = numpy.load(out)
        self.assertEqual(facts["sha256"], hash_of_pixels(image))
        self.assertEqual((tuple(facts["shape"]), facts["dtype"]), (image.shape, image.dtype.name))
        return facts["index"], image

    def test_get(self):
        images = numbered_stack(30)
        store = self.save_stack(images, "store", "--format", "npy", "--chunk-frames", 12)
        numpy.save(self.folder / "file.npy", images)
        part = 255 - images[:, 5:25, :40]
        for source in (store, self.folder / "file.npy"):
            for options, index in ((("--index", 17), 17), (("--index", -2), 28), (("--number", 3), 3)):
                got, image = self.got(source, *options, "--filter", "crop=0:5:40:20,invert")
                self.assertEqual(got, index)
                numpy.testing.assert_array_equal(image, part[index])
        time_of = self.lines_of("frames", store)[8]["time"]
        self.assertEqual(self.got(store, "--time", repr(time_of), "--filter", "invert")[0], 8)
        self.assertEqual(self.json_of("get", store, "--index", 3, "--filter", "normalize=type=float32")["dtype"], "float32")

    def test_windows_are_those_of_the_whole_recording(self):
        images = numbered_stack(20)
        store = self.save_stack(images, "store", "--format", "npy")
        expected = mean_of_three(images.astype(float))
        for index in (0, 11, 19):
            image = self.got(store, "--index", index, "--filter", "mean=3")[1]
            numpy.testing.assert_allclose(image.astype(float), expected[index], atol=1)
            numpy.testing.assert_array_equal(image, self.extracted(store, "--filter", "mean=3")[index])
        lowest, highest = images.min(axis=0).astype(float), images.max(axis=0)
        image = self.got(store, "--index", 4, "--filter", "normalize-pixelwise")[1]
        changing = highest > lowest
        numpy.testing.assert_allclose(image[changing], ((images[4] - lowest) / (highest - lowest + ~changing))[changing],
                                      atol=1e-6)

    def test_gray_comes_before_the_filters(self):
        images = numbered_stack(3, channels=3)
        store = self.save_stack(images, "store", "--format", "npy")
        image = self.got(store, "--index", 2, "--gray", "--filter", "crop=0:0:30:20")[1]
        numpy.testing.assert_array_equal(image, cv2.cvtColor(images[2], cv2.COLOR_BGR2GRAY)[:20, :30])

    def test_refusals(self):
        store = self.save_stack(numbered_stack(4), "store", "--format", "npy")
        for verb in (("get", store, "--index", 0), ("view", store)):
            self.assert_refused(run(*verb, "--filter", "invert,skip=2", env=OFFSCREEN), USAGE, "filter skip", "extract")
            self.assert_refused(run(*verb, "--filter", "clahee", env=OFFSCREEN), USAGE, "did you mean clahe", "crop, ")
        self.assert_refused(run("get", store, "--index", 0, "--filter", "clahe=clipp=3"), USAGE, "clip")
        self.assert_refused(run("get", store, "--index", 0, "--filter", "'"), USAGE, "quote")
        refused = run("get", store, "--index", 2, "--filter", "crop=0:0:100:100")
        self.assertIn(refused.code, (FAILED, USAGE))
        for word in (str(store), "frame index 2", "crop"):
            self.assertIn(word, refused.err)


class View(Recorded):
    def view(self, *arguments, code):
        result = run("view", *arguments, "--fps", 0, env=OFFSCREEN, timeout=60)
        self.assertEqual(result.code, code, result.err)
        return result.err

    def test_view(self):
        images = numbered_stack(12).astype(numpy.float32) / 255
        images[3] = numpy.nan
        images[4, 0, 0] = numpy.inf
        store = self.save_stack(images, "floats", "--format", "npy")
        for filters in ("crop=0:0:30:20,invert", "mean=3", "normalize-pixelwise", "8bit,colormap=viridis"):
            self.assertNotIn("cannot", self.view(store, "--filter", filters, code=DONE))
        # What takes no such images takes none of them: said once, not for every frame.
        self.assertEqual(self.view(store, "--filter", "clahe", code=FAILED).count("clahe"), 1)
        (store / "000000" / "000005.npy").write_bytes(b"nothing")
        self.view(store, "--filter", "invert", code=DATA_LOST)

    def test_follow(self):
        recording = self.record(RATE, "--format", "npy")
        viewer = run("view", self.store, "--follow", "--filter", "mean=3,invert", env=OFFSCREEN, timeout=60)
        self.assertEqual(recording.wait(WAIT), DONE)
        self.assertEqual(viewer.code, DONE, viewer.err)

    def test_get_of_a_store_that_is_being_recorded(self):
        recording = self.record(6 * RATE, "--format", "npy")
        count = self.json_of("info", self.store)["frame_count"]
        self.ok("get", self.store, "--index", -1, "--filter", "mean=5,invert", "-o", self.folder / "live.npy")
        image = 255 - numpy.load(self.folder / "live.npy")
        self.assertEqual(image.shape, (48, 64))
        self.ok("get", self.store, "--index", 5, "--filter", "invert", "-o", self.folder / "fifth.npy")
        self.assertEqual(read_number(255 - numpy.load(self.folder / "fifth.npy")), 5)
        self.assertGreater(count, 5)
        recording.send_signal(signal.SIGINT)
        self.assertEqual(recording.wait(WAIT), INTERRUPTED)


class Help(StoreTestCase):
    def test_every_example_works(self):
        numpy.save(self.folder / "big.npy", numpy.stack([numbered_stack(1, 600, 800, 3)[0]] * 2))
        cv2.imwrite(str(self.folder / "lamp, on.png"), numpy.full((600, 800, 3), 200, numpy.uint8))
        texts = [self.ok("help", "filters").out] + [self.ok("help", verb).out for verb in VERBS_WITH_FILTERS]
        for text in texts:
            self.assertIn("--filter", text)
        lists = set()
        for line in "\n".join(texts).splitlines():
            if found := re.search(r"--filter ([^ \"]+|\"[^\"]+\")", line):
                lists.add(shlex.split(found.group(1))[0])
        lists.discard("LIST")
        lists = {text for text in lists if re.match("[a-z0-9]", text)}
        self.assertGreater(len(lists), 7)
        for text in sorted(lists):
            self.ok("extract", "big.npy", "out.npy", "--force", "--filter", text, cwd=self.folder)

    def test_the_list(self):
        filters = self.json_of("formats")["filters"]
        pages = [self.ok("help", "filters").out, self.ok("formats", "--filters").out]
        self.assertEqual(*pages)
        short = self.ok("formats").out
        for entry in filters:
            self.assertTrue(entry["family"])
            self.assertRegex(short, rf"\n    {entry['name']} ")
            for argument in entry["arguments"]:
                self.assertIn(f"        {argument['name']}", pages[0])
        for family in {entry["family"] for entry in filters}:
            self.assertEqual(len(re.findall(rf"\n  {family}\n", short)), 1, family)
        self.assertIn("clip=8", self.ok("help", "clahe").out)
        self.assert_refused(run("help", "nonsense"), USAGE, "help filters")


if __name__ == "__main__":
    unittest.main()
