"""`store stats` against the same worked out with numpy, and against losses and motions that were made."""
import csv
import io
import math
import resource
import signal
import subprocess
import time
import unittest

import cv2
import numpy

from store_program import (DATA_LOST, DONE, FAILED, FIRST_TIME, GOLDEN, INTERRUPTED, REAL_VIDEO, REAL_VIDEO_FRAMES,
                           StoreTestCase, USAGE, command, decode_video, numbered_stack, run)

COUNT, HEIGHT, WIDTH = 5, 37, 50


def random_stack(dtype, channels=1, count=COUNT):
    random = numpy.random.default_rng(3)
    shape = (count, HEIGHT, WIDTH) if channels == 1 else (count, HEIGHT, WIDTH, channels)
    if numpy.dtype(dtype).kind == "f":
        images = random.normal(0.5, 0.4, shape).astype(dtype)
        images[random.random(shape) < 0.05] = numpy.nan
        images[1] = numpy.nan
        images[0, :2, :3] = numpy.inf
        return images
    limits = numpy.iinfo(dtype)
    return random.integers(limits.min, limits.max + 1, shape).astype(dtype)


def store_of(folder, times, numbers=None):
    """A store in imgstore's layout with one black pixel a frame."""
    folder.mkdir()
    count = len(times)
    path = folder / "000000"
    path.mkdir()
    for position in range(count):
        numpy.save(path / f"{position:06d}.npy", numpy.zeros((1, 1), numpy.uint8))
    numpy.savez(path / "index.npz", frame_number=numpy.array(range(count) if numbers is None else numbers, numpy.int64),
                frame_time=numpy.array(times, numpy.float64))
    (folder / "metadata.yaml").write_text(
        "__store: {chunksize: %d, class: DirectoryImgStore, created_utc: '2026-01-02T03:04:05.5', encoding: null,\n"
        "  format: npy, imgdtype: uint8, imgshape: [1, 1], timezone_local: Europe/Vienna, version: 2,\n"
        "  uuid: 0123456789abcdef0123456789abcdef}\n" % max(1, count))
    return folder


class StatsTestCase(StoreTestCase):
    def array(self, images, name="images.npy"):
        path = self.folder / name
        numpy.save(path, images)
        return path

    def stats(self, recording, *options, code=DONE):
        return self.json_of("stats", recording, *options, code=code)

    def trace(self, recording, *options):
        return list(csv.DictReader(io.StringIO(self.ok("stats", recording, "--trace", "-", *options).out)))

    def rows_of(self, path):
        return list(csv.DictReader(io.StringIO(path.read_text())))


class Pixels(StatsTestCase):
    def assert_near(self, found, expected, what=""):
        if expected is None or (isinstance(expected, float) and math.isnan(expected)):
            self.assertIsNone(found, what)
        else:
            self.assertTrue(math.isclose(found, expected, rel_tol=1e-10, abs_tol=1e-12), f"{what}: {found} {expected}")

    def check_channel(self, found, values):
        values = values.astype(numpy.float64).ravel()
        finite = values[numpy.isfinite(values)]
        self.assertEqual(found["values"], finite.size)
        self.assertEqual(found["nan"], numpy.isnan(values).sum())
        self.assertEqual(found["infinite"], numpy.isinf(values).sum())
        self.assert_near(found["mean"], finite.mean(), "mean")
        self.assert_near(found["std"], finite.std(), "std")
        self.assertEqual(found["min"], finite.min())
        self.assertEqual(found["max"], finite.max())

    def test_every_type(self):
        for dtype, channels in (("uint8", 1), ("uint8", 3), ("uint16", 3), ("int16", 1), ("float32", 1), ("float64", 3)):
            with self.subTest(dtype=dtype, channels=channels):
                images = random_stack(dtype, channels)
                low, high = (-0.5, 1.25) if numpy.dtype(dtype).kind == "f" else (-100.5, 31000.25)
                found = self.stats(self.array(images), "--histogram", 9, "--range", f"{low}:{high}")
                self.assertEqual((found["frames"], found["dtype"]), (COUNT, dtype))
                self.assertEqual(found["image_shape"], [HEIGHT, WIDTH] + ([3] if channels == 3 else []))
                region, = found["regions"]
                self.assertEqual((region["name"], region["pixels"], region["rectangle"]),
                                 (None, HEIGHT * WIDTH, [0, 0, WIDTH, HEIGHT]))
                names = ["gray"] if channels == 1 else ["blue", "green", "red"]
                self.assertEqual([channel["channel"] for channel in region["channels"]], names)
                planes = images.reshape(COUNT, HEIGHT, WIDTH, channels)
                for channel, one in enumerate(region["channels"]):
                    plane = planes[..., channel].astype(numpy.float64)
                    self.check_channel(one, plane)
                    finite = plane[numpy.isfinite(plane)]
                    counts, _ = numpy.histogram(finite, 9, (low, high))
                    histogram = one["histogram"]
                    self.assertEqual(histogram["counts"], counts.tolist(), f"{dtype} {channel}")
                    self.assertEqual((histogram["low"], histogram["high"]), (low, high))
                    self.assertEqual((histogram["below"], histogram["above"]),
                                     ((finite < low).sum(), (finite > high).sum()))
                    if numpy.dtype(dtype).kind != "f":
                        means = plane.mean((1, 2))
                        self.assertEqual(one["saturated"], (plane == numpy.iinfo(dtype).max).sum())
                        self.assert_near(one["frame_mean_std"], means.std())
                        self.assertEqual(one["darkest_frame"]["index"], means.argmin())
                        self.assert_near(one["brightest_frame"]["mean"], means.max())

    def test_histogram_of_every_value(self):
        images = random_stack("uint8")
        found = self.stats(self.array(images), "--histogram", 256)["regions"][0]["channels"][0]["histogram"]
        self.assertEqual(found["counts"], numpy.bincount(images.ravel(), minlength=256).tolist())
        self.assertEqual((found["low"], found["high"]), (0, 256))

    def test_trace(self):
        images = random_stack("float32")
        rows = self.trace(self.array(images))
        self.assertEqual(list(rows[0]), ["index", "number", "time", "mean", "std", "min", "max"])
        for index, (row, image) in enumerate(zip(rows, images)):
            self.assertEqual(row["index"], str(index))
            values = image[numpy.isfinite(image)].astype(numpy.float64)
            if values.size == 0:
                self.assertEqual((row["mean"], row["std"], row["min"], row["max"]), ("", "", "", ""))
                continue
            for name, expected in (("mean", values.mean()), ("std", values.std()), ("min", values.min()),
                                   ("max", values.max())):
                self.assert_near(float(row[name]), expected, name)

    def test_trace_of_a_store_in_a_file_and_its_selection(self):
        store = self.save_stack(numbered_stack(12), "store", "--format", "npy", times="fps:10")
        trace = self.folder / "trace.csv"
        found = self.stats(store, "--trace", trace, "--index", "2:11:3")
        rows = self.rows_of(trace)
        frames = self.lines_of("frames", store, "--index", "2:11:3")
        self.assertEqual(found["frames"], 3)
        self.assertEqual(found["intervals"], None)
        self.assertEqual([(int(row["index"]), int(row["number"]), float(row["time"])) for row in rows],
                         [(frame["index"], frame["number"], frame["time"]) for frame in frames])
        self.assert_refused(run("stats", store, "--trace", trace), FAILED, "trace.csv", "already")
        self.assert_refused(run("stats", store, "--trace", self.folder, "--force"), USAGE, "is a folder")
        self.assert_refused(run("stats", store, "--trace", store / "trace.csv"), USAGE, "recording itself")
        self.ok("stats", store, "--trace", trace, "--force")
        self.assertEqual(len(trace.read_text().splitlines()), 13)

    def test_regions(self):
        images = random_stack("uint16", 3)
        path = self.array(images)
        corners = numpy.array([[3, 2], [40, 8], [20, 30]], numpy.int32)
        polygon = numpy.zeros((HEIGHT, WIDTH), numpy.uint8)
        cv2.fillPoly(polygon, [corners], 1)
        mask = numpy.random.default_rng(1).integers(0, 3, (HEIGHT, WIDTH)).astype(numpy.uint8)
        cv2.imwrite(str(self.folder / "mask.png"), mask)
        numpy.save(self.folder / "mask.npy", mask.astype(numpy.float32) / 4)
        options = ["--roi", "left=0:0:20:37", "--roi", "right=49:36:1:1", "--polygon", "heart=3:2:40:8:20:30",
                   "--mask", f"one={self.folder / 'mask.png'}", "--mask", f"two={self.folder / 'mask.npy'}"]
        masks = [numpy.zeros((HEIGHT, WIDTH), bool) for _ in range(2)] + [polygon > 0, mask > 0, mask > 0]
        masks[0][:, :20] = True
        masks[1][36, 49] = True
        found = self.stats(path, *options)
        self.assertEqual([region["name"] for region in found["regions"]], ["left", "right", "heart", "one", "two"])
        rows = self.trace(path, *options)
        for region, where in zip(found["regions"], masks):
            self.assertEqual(region["pixels"], where.sum())
            for channel, one in enumerate(region["channels"]):
                self.check_channel(one, images[:, where, channel])
                column = f"{region['name']}_{one['channel']}_mean"
                for row, image in zip(rows, images):
                    self.assert_near(float(row[column]), image[where, channel].mean())

    def test_saturation(self):
        images = numpy.zeros((2, 4, 6), numpy.uint16)
        images[0, 1, 2:5] = 4095
        images[1, 1, 1] = 65535
        path = self.array(images)
        self.assertEqual(self.stats(path)["regions"][0]["channels"][0]["saturated"], 1)
        self.assertEqual(self.stats(path, "--saturation", 4095)["regions"][0]["channels"][0]["saturated"], 4)

    def test_filters(self):
        images = random_stack("uint8", 3)
        found = self.stats(self.array(images), "--filter", "crop=5:4:20:11,invert", "--gray", "--index", "1:4")
        self.assertEqual((found["frames"], found["image_shape"]), (3, [11, 20]))
        gray = numpy.stack([cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in images[1:4]])
        self.check_channel(found["regions"][0]["channels"][0], 255 - gray[:, 4:15, 5:25])

    def test_odd_recordings(self):
        for images in (numpy.zeros((1, 1, 1), numpy.uint8), numpy.full((3, 4, 5), numpy.nan, numpy.float32),
                       numpy.full((3, 4, 5), 7.25)):
            channel = self.stats(self.array(images))["regions"][0]["channels"][0]
            finite = images[numpy.isfinite(images)]
            self.assertEqual(channel["values"], finite.size)
            self.assertEqual(channel["mean"], finite[0] if finite.size else None)
            self.assertEqual(channel["std"], 0 if finite.size else None)
        found = self.stats(GOLDEN / "npy-empty", "--trace", self.folder / "none.csv", "--motion", "first")
        self.assertEqual((found["frames"], found["regions"]), (0, []))

    def test_text(self):
        store = self.save_stack(random_stack("uint8"), "store", "--format", "npy", times="fps:25")
        text = self.ok("stats", store, "--histogram", 4, "--roi", "left=0:0:9:9", "--motion", "previous").out
        for word in ("5 measured", "left", "mean", "histogram of left", "against the frame before", "median 40.000 ms",
                     "no number is missing", "gaps"):
            self.assertIn(word, text)

    def test_wrong_usage(self):
        path = self.array(random_stack("uint8"))
        for options, words in ((["--roi", "40:0:11:5"], ["roi", "50x37"]), (["--roi", "1:2:3"], ["X:Y:WIDTH:HEIGHT"]),
                               (["--roi", "a=0:0:1:1", "--roi", "a=0:0:1:1"],
                                                                       ["two regions", "a"]),
                               (["--polygon", "1:2:3:4"], ["three corners"]), (["--range", "0:1"], ["--histogram"]),
                               (["--histogram", "4", "--range", "5:5"], ["low end"]),
                               (["--histogram", "4", "--range", "five"], ["LOW:HIGH"]),
                               (["--intervals", "--index", "::2"], ["step"]),
                               (["--intervals", "--roi", "0:0:2:2"], ["no image"]),
                               (["--intervals", "--motion", "first"], ["no image"])):
            self.assert_refused(run("stats", path, *options), USAGE, *words)
        numpy.save(self.folder / "zero.npy", numpy.zeros((HEIGHT, WIDTH), numpy.uint8))
        self.assert_refused(run("stats", path, "--mask", self.folder / "zero.npy"), USAGE, "zero.npy", "0 everywhere")

    def test_a_trace_that_cannot_be_written_is_not_left_behind(self):
        path, trace = self.array(random_stack("uint8", count=20)), self.folder / "trace.csv"
        trace.write_text("an older one")
        result = subprocess.run(command("stats", path, "--trace", trace, "--force"), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True,
                                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)))
        self.assertEqual(result.returncode, FAILED, result.stderr)
        self.assertIn("File too large", result.stderr)
        self.assertEqual(trace.read_text(), "an older one")
        trace.unlink()
        result = subprocess.run(command("stats", path, "--trace", trace), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True,
                                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)))
        self.assertEqual(result.returncode, FAILED, result.stderr)
        self.assertFalse(trace.exists())

    def test_damaged_frames_are_counted(self):
        store = self.save_stack(numbered_stack(6), "store", "--format", "npy", times="fps:25")
        broken, = store.glob("*/*2.npy")
        broken.write_bytes(b"nothing")
        found = self.stats(store, code=DATA_LOST)
        self.assertEqual((found["frames"], found["frames_damaged"]), (5, 1))
        self.assertEqual(found["intervals"]["count"], 5)


class Intervals(StatsTestCase):
    def intervals(self, times, numbers=None, name="store"):
        store = store_of(self.folder / name, times, numbers)
        return self.stats(store, "--intervals")

    def test_quantiles(self):
        random = numpy.random.default_rng(5)
        times = FIRST_TIME + numpy.cumsum(random.normal(0.04, 0.003, 500))
        found = self.intervals(times)["intervals"]
        steps = numpy.diff(times)
        off = numpy.abs(steps - numpy.median(steps))
        for name, expected in (("median", numpy.median(steps)), ("mean", steps.mean()), ("std", steps.std()),
                               ("min", steps.min()), ("max", steps.max()), ("median_deviation", numpy.median(off)),
                               ("p99_deviation", numpy.percentile(off, 99)), ("rate", 1 / steps.mean()),
                               ("gap_limit", 1.5 * numpy.median(steps))):
            self.assertAlmostEqual(found[name], expected, delta=1e-9 * abs(expected), msg=name)
        self.assertEqual((found["count"], found["gaps"], found["exact"]), (499, 0, True))

    def test_losses_and_delays(self):
        slots = [0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13.99, 14, 15, 16, 17, 30, 31, 32]
        found = self.intervals([FIRST_TIME + slot / 50 for slot in slots],
                               [0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 30, 31, 31])
        intervals, numbers = found["intervals"], found["numbers"]
        self.assertEqual((intervals["gaps"], intervals["delays"], intervals["missing_frames"]), (3, 1, 14))
        self.assertEqual([(gap["index"], gap["number"], gap["missing"]) for gap in intervals["longest_gaps"]],
                         [(5, 7, 2), (11, 13, 0), (16, 30, 12)])
        self.assertAlmostEqual(intervals["longest_gaps"][2]["interval"], 13 / 50, places=6)
        self.assertEqual(intervals["longest_gaps"][2]["time"], FIRST_TIME + 30 / 50)
        self.assertEqual((numbers["jumps"], numbers["missing"], numbers["repeated"], numbers["backward"]), (2, 14, 1, 0))
        self.assertEqual(numbers["largest_jump"], {"index": 16, "number": 30, "missing": 12})
        text = self.ok("stats", self.folder / "store", "--intervals").out
        for word in ("14 frames missing", "12 frames missing", "late", "before frame 16", "12 before frame 16"):
            self.assertIn(word, text)

    def test_part_of_a_recording(self):
        store = store_of(self.folder / "store", [FIRST_TIME + slot for slot in (0, 1, 2, 3, 9, 10, 11, 12, 13)])
        self.assertEqual(self.stats(store, "--intervals", "--index", "4:")["intervals"]["gaps"], 0)
        self.assertEqual(self.stats(store, "--intervals", "--index", ":5")["intervals"]["gaps"], 1)
        self.assertEqual(self.stats(store, "--intervals", "--number", "4:")["intervals"]["max"], 1)

    def test_odd_times(self):
        equal = self.intervals([5.0] * 4, name="equal")["intervals"]
        self.assertEqual((equal["median"], equal["repeated_times"], equal["gap_limit"], equal["rate"]),
                         (0, 3, None, None))
        self.assertIn("cannot be told", self.ok("stats", self.folder / "equal", "--intervals").out)
        back = self.intervals([5.0, 6.0, 7.0, 3.0, 4.0, 5.0], name="back")["intervals"]
        self.assertEqual((back["backward_times"], back["min"], back["gaps"]), (1, -4, 0))
        one = self.intervals([5.0], name="one")["intervals"]
        self.assertEqual((one["count"], one["median"], one["first_time"]), (0, None, 5))
        huge = self.intervals([0.0, 1.0, 2.0, 3.0, 1e9], name="huge")["intervals"]
        self.assertEqual((huge["gaps"], huge["missing_frames"]), (1, 999999996))
        self.ok("stats", self.folder / "one", "--intervals")

    def test_recordings_without_times_or_numbers(self):
        found = self.stats(self.array(numbered_stack(3)), "--intervals")
        self.assertEqual((found["frames"], found["intervals"], found["numbers"]), (3, None, None))
        self.assertIn("none", self.ok("stats", self.folder / "images.npy", "--intervals").out)
        empty = self.stats(GOLDEN / "npy-empty", "--intervals")
        self.assertEqual(empty["frames"], 0)


@unittest.skipUnless(REAL_VIDEO.exists(), "the real video is not installed")
class Motion(StatsTestCase):
    MOVES = [(0, 0, 0), (3.25, -1.5, 0), (-20.5, 14, 0), (2, 1, -4.5), (-7.75, 6.5, 30), (5, -5, 170)]

    def setUp(self):
        super().setUp()
        scene = cv2.cvtColor(decode_video(REAL_VIDEO, 1)[0], cv2.COLOR_BGR2GRAY)[60:540]
        height, width = scene.shape
        self.images = []
        for dx, dy, degrees in self.MOVES:
            # At twice the size, so that what interpolation does to the pixels is not what is compared.
            matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
            matrix[:, 2] += 2 * dx, 2 * dy
            moved = cv2.warpAffine(scene, matrix, (width, height), flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT)
            self.images.append(cv2.resize(moved, (width // 2, height // 2), interpolation=cv2.INTER_AREA))

    def test_against_the_first(self):
        path = self.array(numpy.stack(self.images))
        rows = self.trace(path, "--motion", "first")
        for row, (dx, dy, degrees) in zip(rows, self.MOVES):
            self.assertAlmostEqual(float(row["dx"]), dx, delta=0.05)
            self.assertAlmostEqual(float(row["dy"]), dy, delta=0.05)
            self.assertAlmostEqual(float(row["degrees"]), degrees, delta=0.02)
            self.assertGreater(float(row["correlation"]), 0.97)

    def test_against_the_previous_one(self):
        images = [self.images[0]] + self.images[:3] + [numpy.full_like(self.images[0], 9)] + self.images[:2]
        found = self.stats(self.array(numpy.stack(images)), "--motion", "previous", "--trace", self.folder / "out.csv")
        rows = self.rows_of(self.folder / "out.csv")
        moves = [(0, 0), (0, 0), (3.25, -1.5), (-23.75, 15.5), None, None, (3.25, -1.5)]
        for row, move in zip(rows, moves):
            if move is None:
                self.assertEqual((row["dx"], row["dy"], row["degrees"], row["correlation"]), ("", "", "", ""))
                continue
            self.assertAlmostEqual(float(row["dx"]), move[0], delta=0.05)
            self.assertAlmostEqual(float(row["dy"]), move[1], delta=0.05)
        motion = found["motion"]
        self.assertEqual((motion["from"], motion["frames"], motion["unknown"]), ("previous", 5, 2))
        self.assertEqual(motion["longest_shift"]["index"], 3)
        self.assertAlmostEqual(motion["dy"]["max"], 15.5, delta=0.05)

    def test_interrupted(self):
        trace = self.folder / "trace.csv"
        process = subprocess.Popen(command("stats", REAL_VIDEO, "--motion", "first", "--trace", trace), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        while not trace.exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, INTERRUPTED)
        rows = self.rows_of(trace)
        self.assertTrue(0 < len(rows) < REAL_VIDEO_FRAMES)
        self.assertEqual([int(row["index"]) for row in rows], list(range(len(rows))))
        self.assertIn(f"{len(rows)} measured", out.decode())


if __name__ == "__main__":
    unittest.main()
