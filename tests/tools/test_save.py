"""`store save` from every kind of source, with every option."""
import json
import os
import shutil
import sqlite3
import subprocess
import time
import unittest

import cv2
import numpy
import yaml

from store_program import (FIRST_TIME, GOLDEN, PROGRAM, REAL_VIDEO, REAL_VIDEO_FRAMES, StoreTestCase, decode_video,
                           numbered_image, numbered_stack, psnr, read_number, run)

SECONDS_OF_A_FRAME = 0.1  # of the real video


class Sources(StoreTestCase):
    def test_stack(self):
        for shape in ((), (1,), (3,), (4,)):
            images = numpy.random.default_rng(1).integers(0, 255, (5, 20, 30, *shape), numpy.uint8)
            store = self.save_stack(images, f"store{len(shape)}{sum(shape)}", "--format", "npy")
            expected = images[..., 0] if shape == (1,) else images
            numpy.testing.assert_array_equal(self.extracted(store), expected)

    def test_one_image_as_array(self):
        store = self.save_stack(numbered_image(77), "store", "--format", "png")
        self.assertEqual(self.json_of("info", store)["frame_count"], 1)
        self.assertEqual([read_number(image) for image in self.extracted(store)], [77])

    def test_folder_of_images_in_natural_order(self):
        for extension in ("png", "bmp", "tif", "npy", "pgm"):
            images = self.folder / f"images_{extension}"
            images.mkdir()
            for number in (1, 2, 3, 9, 10, 11, 100):
                path = str(images / f"frame_{number}.{extension}")
                if extension == "npy":
                    numpy.save(path, numbered_image(number))
                else:
                    cv2.imwrite(path, numbered_image(number))
            (images / "notes.txt").write_text("no image")
            store = self.folder / f"store_{extension}"
            self.ok("save", images, store, "--format", "npy", "--time", "fps:10")
            self.assertEqual([read_number(image) for image in self.extracted(store)], [1, 2, 3, 9, 10, 11, 100])
            rows = self.lines_of("frames", store)
            self.assertEqual([row["number"] for row in rows], list(range(7)))

    def test_folder_with_images_of_two_sizes_is_refused(self):
        images = self.folder / "images"
        images.mkdir()
        cv2.imwrite(str(images / "frame_1.png"), numbered_image(1))
        cv2.imwrite(str(images / "frame_2.png"), numbered_image(2, 50, 70))
        result = run("save", images, self.folder / "store", "--format", "npy", "--time", "fps:10")
        self.assert_refused(result, 1, "frame_2.png", "50", "70")

    def test_single_image(self):
        path = self.folder / "one.png"
        cv2.imwrite(str(path), numbered_image(5))
        self.ok("save", path, self.folder / "store", "--format", "png")
        self.assertEqual([read_number(image) for image in self.extracted(self.folder / "store")], [5])

    def test_store_keeps_numbers_times_extra_data_and_user_metadata(self):
        for name in ("npy-wrap", "avc1_mp4-color", "npy-equal-times", "npy-negative"):
            expect = json.loads((GOLDEN / f"{name}.expect.json").read_text())
            store = self.folder / name
            self.ok("save", GOLDEN / name, store, "--format", "png", "--chunk-frames", 5)
            rows = self.lines_of("frames", store)
            self.assertEqual([row["number"] for row in rows], expect["frame_numbers"])
            self.assertEqual([row["time"] for row in rows], expect["frame_times"])
            self.assertEqual(self.lines_of("extra", store), expect.get("extra_data", []))
            info = self.json_of("info", store)
            self.assertEqual(info["user_metadata"], expect["user_metadata"])
            self.assertNotEqual(info["uuid"], expect["uuid"])
            numpy.testing.assert_array_equal(self.extracted(store), self.extracted(GOLDEN / name))

    def test_extra_data_follows_selected_frames(self):
        store = self.folder / "store"
        self.ok("save", GOLDEN / "avc1_mp4-color", store, "--format", "npy", "--start", 2, "--step", 2, "--frames", 3)
        records = self.lines_of("extra", store)
        self.assertEqual([(r["frame_index"], r["frame_number"], r["label"]) for r in records],
                         [(0, 1002, "f2"), (1, 1004, "f4"), (2, 1006, "f6")])
        on_disk = json.loads((store / "000000" / "index.extra.json").read_text())
        self.assertEqual(on_disk, records)

    def test_raw_store_is_decoded_or_kept(self):
        store = self.folder / "store"
        self.ok("save", GOLDEN / "npy-bayer", store, "--format", "npy")
        self.assertEqual(self.json_of("info", store)["image_shape"], [48, 64, 3])
        numpy.testing.assert_array_equal(self.extracted(store), self.extracted(GOLDEN / "npy-bayer"))

    def test_damaged_source_keeps_what_was_read_before(self):
        source = self.save_stack(numbered_stack(20), "source", "--format", "png")
        (source / "000000" / "000010.png").unlink()
        store = self.folder / "store"
        result = run("save", source, store, "--format", "npy")
        self.assertIn(result.code, (1, 3))
        self.assertIn("000010.png", result.err)
        numbers = [read_number(image) for image in self.extracted(store)]
        self.assertEqual(numbers[:10], list(range(10)), "frames in front of the damage are lost")

    def test_source_with_times_that_are_no_numbers(self):
        source = self.folder / "source"
        shutil.copytree(GOLDEN / "npy-gray", source)
        numpy.savez(source / "000001" / "index.npz", frame_number=numpy.arange(10, 20),
                    frame_time=numpy.full(10, numpy.nan))
        result = run("save", source, self.folder / "store", "--format", "npy")
        self.assert_refused(result, 1, "frame index 10", "finite")
        self.ok("save", source, self.folder / "now", "--format", "npy", "--time", "fps:10")

    def test_empty_store_as_source(self):
        store = self.folder / "store"
        result = run("save", GOLDEN / "npy-empty", store, "--format", "npy")
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(self.json_of("info", store)["frame_count"], 0)

    def test_paths_with_spaces_and_other_letters(self):
        folder = self.folder / "päth with späces"
        folder.mkdir()
        numpy.save(folder / "in put.npy", numbered_stack(3))
        self.ok("save", "in put.npy", "my störe", "--format", "npy", "--time", "fps:5", cwd=folder)
        self.assertEqual(self.json_of("info", folder / "my störe")["frame_count"], 3)
        self.ok("info", "my störe/", cwd=folder)


class Options(StoreTestCase):
    def setUp(self):
        super().setUp()
        self.source = self.folder / "source.npy"
        numpy.save(self.source, numbered_stack(20))
        self.store = self.folder / "store"

    def numbers_seen(self, *options):
        self.ok("save", self.source, self.store, "--format", "npy", "--time", "fps:10", "--force", *options)
        return [read_number(image) for image in self.extracted(self.store)]

    def test_start_frames_step(self):
        self.assertEqual(self.numbers_seen("--start", 15), [15, 16, 17, 18, 19])
        self.assertEqual(self.numbers_seen("--frames", 2), [0, 1])
        self.assertEqual(self.numbers_seen("--step", 6), [0, 6, 12, 18])
        self.assertEqual(self.numbers_seen("--start", 3, "--frames", 3, "--step", 4), [3, 7, 11])
        rows = self.lines_of("frames", self.store)
        self.assertEqual([row["number"] for row in rows], [0, 1, 2])
        numpy.testing.assert_allclose([row["time"] - rows[0]["time"] for row in rows], [0, 0.1, 0.2], atol=1e-6)

    def test_nothing_selected(self):
        for options in (("--start", 20), ("--start", 1000), ("--frames", 0)):
            self.ok("save", self.source, self.store, "--format", "npy", "--force", *options)
            self.assertEqual(self.json_of("info", self.store)["frame_count"], 0)
            self.assertEqual(self.lines_of("frames", self.store), [])

    def test_times_of_now(self):
        before = time.time()
        self.ok("save", self.source, self.store, "--format", "npy", "--time", "now")
        after = time.time()
        times = [row["time"] for row in self.lines_of("frames", self.store)]
        self.assertEqual(times, sorted(times))
        self.assertGreaterEqual(times[0], before - 0.001)
        self.assertLessEqual(times[-1], after + 0.001)

    def test_times_of_a_rate(self):
        before = time.time()
        self.ok("save", self.source, self.store, "--format", "npy", "--time", "fps:29.97")
        times = [row["time"] for row in self.lines_of("frames", self.store)]
        numpy.testing.assert_allclose(numpy.diff(times), 1 / 29.97, atol=1e-6)
        self.assertLess(abs(times[0] - before), 5)

    def test_times_of_a_source_without_any(self):
        result = self.ok("save", self.source, self.store, "--format", "npy")
        times = [row["time"] for row in self.lines_of("frames", self.store)]
        numpy.testing.assert_allclose(times, numpy.arange(20) / 25, atol=1e-9)
        self.assertIn("no times", result.err)

    def test_user_metadata(self):
        self.ok("save", self.source, self.store, "--format", "npy", "--meta", "genotype=wt", "--meta", "rig=3",
                "--meta", "nested={a: [1, 2]}", "--meta", "equation=a=b", "--meta", "version=x")
        user = self.json_of("info", self.store)["user_metadata"]
        self.assertEqual(user, {"genotype": "wt", "rig": 3, "nested": {"a": [1, 2]}, "equation": "a=b", "version": "x"})

    def test_codec_options(self):
        sizes = {}
        for quality in (10, 40):
            store = self.folder / f"crf{quality}"
            self.ok("save", self.source, store, "--set", f"crf={quality}", "--set", "gop=5", "--time", "fps:25")
            sizes[quality] = self.json_of("info", store)["bytes"]
            database = sqlite3.connect(f"file:{store}/index.sqlite?mode=ro", uri=True)
            keys = [row[0] & 1 for row in database.execute("SELECT packet_flags FROM frames ORDER BY frame_index")]
            database.close()
            self.assertEqual([index for index, key in enumerate(keys) if key], [0, 5, 10, 15])
        self.assertGreater(sizes[10], sizes[40])

    def test_chunk_frames(self):
        self.ok("save", self.source, self.store, "--format", "npy", "--chunk-frames", 6)
        chunks = [row["chunk"] for row in self.lines_of("frames", self.store)]
        self.assertEqual(chunks, [0] * 6 + [1] * 6 + [2] * 6 + [3] * 2)
        self.assertEqual(self.json_of("info", self.store)["chunk_frames"], 6)

    def test_chunk_frames_beyond_what_a_store_may_say(self):
        """What save accepts, info must be able to read."""
        result = run("save", self.source, self.store, "--format", "npy", "--chunk-frames", 99999999999999)
        self.assertIn(result.code, (0, 2))
        if result.code == 0:
            self.assertEqual(self.json_of("info", self.store)["frame_count"], 20)

    def test_chunk_seconds_and_bytes(self):
        self.ok("save", self.source, self.store, "--format", "npy", "--chunk-seconds", 0.5, "--time", "fps:10")
        chunks = [row["chunk"] for row in self.lines_of("frames", self.store)]
        self.assertEqual(chunks, [index // 5 for index in range(20)])
        self.ok("save", self.source, self.store, "--format", "npy", "--chunk-bytes", "9K", "--force")
        chunks = [row["chunk"] for row in self.lines_of("frames", self.store)]
        self.assertEqual(chunks, [index // 3 for index in range(20)])

    def test_gray(self):
        numpy.save(self.source, numbered_stack(3, channels=3))
        self.ok("save", self.source, self.store, "--format", "png", "--gray")
        expected = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in numbered_stack(3, channels=3)]
        self.assertEqual(self.json_of("info", self.store)["image_shape"], [48, 64])
        numpy.testing.assert_array_equal(self.extracted(self.store), expected)

    def test_force(self):
        self.ok("save", self.source, self.store, "--format", "npy")
        self.assertEqual(run("save", self.source, self.store, "--format", "npy").code, 1)
        self.assertEqual(self.json_of("info", self.store)["format"], "npy")
        self.ok("save", self.source, self.store, "--format", "png", "--force")
        self.assertEqual(self.json_of("info", self.store)["format"], "png")
        self.assertFalse(list(self.store.rglob("*.npy")))

    def test_force_spares_everything_but_stores(self):
        self.store.mkdir()
        (self.store / "thesis.txt").write_text("years of work")
        result = run("save", self.source, self.store, "--format", "npy", "--force")
        self.assert_refused(result, 1, "not a store", self.store)
        self.assertEqual((self.store / "thesis.txt").read_text(), "years of work")

    def test_force_spares_the_old_store_when_the_new_one_cannot_begin(self):
        """A source or an option that cannot work is found before the old store is removed."""
        numpy.save(self.folder / "float.npy", numbered_stack(3, dtype=numpy.float32))
        for arguments in ((self.folder / "missing.npy", "--format", "npy"), (self.source, "--format", "nonsense"),
                          (self.source, "--format", "png", "--set", "crf=3"), (self.source, "--time", "fps:0"),
                          (self.source, "--filter", "nonsense"), (self.source, "--encoding", "nonsense"),
                          (self.folder / "float.npy", "--format", "avc1/mp4"),
                          (self.folder / "float.npy", "--format", "npy", "--gray", "--encoding", "cv_bayerbg")):
            with self.subTest(arguments=arguments):
                self.ok("save", self.source, self.store, "--format", "npy", "--force")
                result = run("save", arguments[0], self.store, *arguments[1:], "--force")
                self.assertIn(result.code, (1, 2), result.err)
                self.assertEqual(self.json_of("info", self.store)["frame_count"], 20)
                self.assertEqual(self.json_of("info", self.store)["format"], "npy")

    def test_force_keeps_the_old_store_when_the_new_one_is_not_finished(self):
        images = self.folder / "images"
        images.mkdir()
        for i in range(6):
            cv2.imwrite(str(images / f"{i}.png"), numbered_image(i))
        (images / "3.png").write_bytes((images / "3.png").read_bytes()[:60])
        self.ok("save", self.source, self.store, "--format", "npy")
        result = run("save", images, self.store, "--format", "npy", "--force")
        self.assertEqual(result.code, 1, result.err)
        self.assertEqual(self.json_of("info", self.store)["frame_count"], 3)
        old = self.folder / (self.store.name + ".old")
        self.assertIn(str(old), result.err)
        self.assertEqual(self.json_of("info", old)["frame_count"], 20)

    def test_force_onto_the_source_itself(self):
        self.ok("save", self.source, self.store, "--format", "npy")
        result = run("save", self.store, self.store, "--format", "png", "--force")
        self.assertEqual(result.code, 2, result.err)
        link = self.folder / "link"
        link.symlink_to(self.store)
        for source, target in ((link, self.store), (self.store, link), (str(self.store) + "/", self.store),
                               (self.store / "metadata.yaml", self.store)):
            with self.subTest(source=str(source), target=str(target)):
                result = run("save", source, target, "--format", "png", "--force")
                self.assertEqual(result.code, 2, result.err)
                self.assertEqual(self.json_of("info", self.store)["frame_count"], 20)

    def test_force_with_the_source_inside_the_old_store(self):
        self.ok("save", self.source, self.store, "--format", "npy")
        result = run("save", self.store / "000000", self.store, "--format", "png", "--force")
        self.assertIn(result.code, (1, 2), result.err)
        self.assertTrue((self.store / "000000" / "000000.npy").exists(), "the source was removed")

    def test_link_with_a_source_option(self):
        link = PROGRAM.with_name("store-save")
        if not link.exists():
            self.skipTest("no links beside the program")
        self.ok("--format", "png", "--source", self.source, self.store, "--frames", 4, program=link)
        self.assertEqual([read_number(image) for image in self.extracted(self.store)], [0, 1, 2, 3])
        info = json.loads(self.ok(self.store, "--json", program=PROGRAM.with_name("store-info")).out)
        self.assertEqual(info["format"], "png")

    def test_aliases_of_formats(self):
        self.ok("save", self.source, self.store, "--format", "mjpeg")
        document = yaml.safe_load((self.store / "metadata.yaml").read_text())
        self.assertEqual(document["__store"]["format"], "mjpeg/avi")
        self.assertTrue((self.store / "000000.avi").exists())

    def test_index_can_be_asked_with_sqlite(self):
        self.ok("save", self.source, self.store, "--format", "npy", "--chunk-frames", 8)
        database = sqlite3.connect(f"file:{self.store}/index.sqlite?mode=ro", uri=True)
        self.assertEqual(database.execute("PRAGMA integrity_check").fetchone(), ("ok",))
        rows = database.execute("SELECT frame_index, frame_number, chunk FROM frames ORDER BY 1").fetchall()
        self.assertEqual(rows, [(index, index, index // 8) for index in range(20)])
        for text, in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"):
            self.assertNotIn(str(self.folder), text)
        database.close()
        self.assertNotIn(str(self.folder).encode(), (self.store / "index.sqlite").read_bytes())

    def test_moved_store(self):
        self.ok("save", self.source, self.store, "--chunk-frames", 8)
        moved = self.folder / "elsewhere"
        os.rename(self.store, moved)
        self.assertEqual([read_number(image) for image in self.extracted(moved)], list(range(20)))


@unittest.skipUnless(REAL_VIDEO.exists(), "opencv-doc is not installed")
class RealVideo(StoreTestCase):
    FRAMES = 60

    @classmethod
    def setUpClass(cls):
        cls.reference = numpy.stack(decode_video(REAL_VIDEO, cls.FRAMES))

    def test_lossless(self):
        """Colours are converted more exactly than OpenCV does it, so they differ from its by a level or two."""
        for name, count in (("png", 15), ("npy", 40)):
            store = self.folder / name
            self.ok("save", REAL_VIDEO, store, "--format", name, "--frames", count, "--chunk-frames", 12)
            frames = self.extracted(store)
            self.assertEqual(frames.shape, (count, *self.reference.shape[1:]))
            for index, frame in enumerate(frames):
                self.check_is_frame(frame, index)

    def check_is_frame(self, frame, index):
        difference = [numpy.abs(frame[::2, ::2].astype(int) - self.reference[other][::2, ::2]).mean()
                      for other in (index, max(index - 1, 0), min(index + 1, self.FRAMES - 1))]
        self.assertLess(difference[0], 2)
        self.assertEqual(difference[0], min(difference), f"frame {index} looks more like a neighbour")

    @unittest.skipUnless(shutil.which("ffmpeg"), "ffmpeg is not installed")
    def test_lossless_is_an_exact_decode_by_the_formula(self):
        """FFmpeg's decoded samples, converted here by BT.601 with chroma between its left-sited samples."""
        count = 25
        height, width = self.reference.shape[1:3]
        raw = subprocess.run(["ffmpeg", "-v", "error", "-i", str(REAL_VIDEO), "-frames:v", str(count), "-f", "rawvideo",
                              "-pix_fmt", "yuv420p", "-"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             check=True).stdout
        frames = numpy.frombuffer(raw, numpy.uint8).reshape(count, height * width * 3 // 2).astype(float)
        stores = [self.folder / name for name in ("png", "npy")]
        for store in stores:
            self.ok("save", REAL_VIDEO, store, "--format", store.name, "--frames", count, "--chunk-frames", 12)
        extracted = [self.extracted(store) for store in stores]
        for index, samples in enumerate(frames):
            gray = (samples[:height * width].reshape(height, width) - 16) * 255 / 219
            chroma = samples[height * width:].reshape(2, height // 2, width // 2)
            blue_difference, red_difference = (self.upsampled(plane - 128) * 255 / 224 for plane in chroma)
            red = gray + 1.402 * red_difference
            blue = gray + 1.772 * blue_difference
            green = (gray - 0.299 * red - 0.114 * blue) / 0.587
            expected = numpy.dstack([blue, green, red]).clip(0, 255)
            for images in extracted:
                self.assertLess(numpy.abs(images[index] - expected).max(), 0.56, index)

    @staticmethod
    def upsampled(plane):
        height, width = plane.shape
        above = numpy.vstack([plane[:1], plane[:-1]])
        below = numpy.vstack([plane[1:], plane[-1:]])
        tall = numpy.empty((2 * height, width))
        tall[::2], tall[1::2] = (3 * plane + above) / 4, (3 * plane + below) / 4
        large = numpy.empty((2 * height, 2 * width))
        large[:, ::2] = tall
        large[:, 1::2] = (tall + numpy.hstack([tall[:, 1:], tall[:, -1:]])) / 2
        return large

    def test_lossy(self):
        for name in ("avc1/mp4", "h264/mkv", "mjpeg/avi"):
            store = self.folder / name.replace("/", "_")
            self.ok("save", REAL_VIDEO, store, "--format", name, "--frames", self.FRAMES, "--chunk-frames", 25)
            frames = self.extracted(store)
            self.assertEqual(frames.shape, self.reference.shape)
            worst = min(psnr(frame, original) for frame, original in zip(frames, self.reference))
            self.assertGreater(worst, 35, name)

    def test_times_of_the_source(self):
        store = self.folder / "store"
        self.ok("save", REAL_VIDEO, store, "--frames", 10, "--time", "source")
        times = [row["time"] for row in self.lines_of("frames", store)]
        numpy.testing.assert_allclose(numpy.diff(times), SECONDS_OF_A_FRAME, atol=1e-6)

    def test_start_in_the_middle(self):
        store = self.folder / "store"
        self.ok("save", REAL_VIDEO, store, "--start", 37, "--frames", 4, "--step", 3, "--format", "npy")
        for place, frame in enumerate(self.extracted(store)):
            self.check_is_frame(frame, 37 + 3 * place)
        self.assertEqual([row["number"] for row in self.lines_of("frames", store)], [0, 1, 2, 3])

    def test_gray(self):
        store = self.folder / "store"
        self.ok("save", REAL_VIDEO, store, "--frames", 5, "--format", "npy", "--gray")
        frames = self.extracted(store)
        for frame, original in zip(frames, self.reference):
            self.assertLess(numpy.abs(frame.astype(int) - cv2.cvtColor(original, cv2.COLOR_BGR2GRAY)).mean(), 3)

    def test_realtime_takes_as_long_as_the_source(self):
        for options, seconds in (((), 0.9), (("--step", 3, "--frames", 4), 0.9)):
            store = self.folder / f"store{len(options)}"
            start = time.monotonic()
            self.ok("save", REAL_VIDEO, store, "--format", "npy", "--realtime", "--time", "now",
                    *(options or ("--frames", 10)))
            taken = time.monotonic() - start
            self.assertGreaterEqual(taken, seconds)
            self.assertLess(taken, seconds + 3)
            times = [row["time"] for row in self.lines_of("frames", store)]
            self.assertAlmostEqual(times[-1] - times[0], seconds, delta=0.3)

    def test_whole_video(self):
        store = self.folder / "store"
        self.ok("save", REAL_VIDEO, store, "--set", "preset=ultrafast")
        self.assertEqual(self.json_of("info", store)["frame_count"], REAL_VIDEO_FRAMES)
        frames = self.extracted(store, "--index", "::6")
        capture = cv2.VideoCapture(str(REAL_VIDEO))
        for index in range(REAL_VIDEO_FRAMES):
            read, original = capture.read()
            self.assertTrue(read)
            if index % 6 == 0:
                self.assertGreater(psnr(frames[index // 6][::2, ::2], original[::2, ::2]), 33, index)
        self.assertFalse(capture.read()[0])


class VideoSources(StoreTestCase):
    def write_video(self, name, code, count=30, rate=25.0, size=(48, 64)):
        path = self.folder / name
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), rate, size[::-1])
        if not writer.isOpened():
            self.skipTest(f"OpenCV cannot write {code}")
        for number in range(count):
            writer.write(cv2.cvtColor(numbered_image(number, *size), cv2.COLOR_GRAY2BGR))
        writer.release()
        return path

    def test_videos_of_other_programs(self):
        for name, code in (("a.avi", "MJPG"), ("b.mp4", "mp4v"), ("c.mkv", "MJPG"), ("d.avi", "XVID"),
                           ("e.avi", "FFV1")):
            path = self.write_video(name, code)
            store = self.folder / (name + "_store")
            self.ok("save", path, store, "--format", "npy")
            self.assertEqual([read_number(image) for image in self.extracted(store)], list(range(30)), name)
            times = [row["time"] for row in self.lines_of("frames", store)]
            numpy.testing.assert_allclose(numpy.diff(times), 0.04, atol=0.0011, err_msg=name)

    def test_video_with_b_frames(self):
        """A store's own chunk as a foreign file, with frames that refer forward."""
        stack = self.save_stack(numbered_stack(40), "stack", "--set", "gop=12", "--set", "preset=medium")
        video = self.folder / "clip.mp4"
        self.ok("extract", stack, video, "--fps", 25)
        store = self.folder / "store"
        self.ok("save", video, store, "--format", "npy", "--start", 11, "--step", 4)
        self.assertEqual([read_number(image) for image in self.extracted(store)], list(range(11, 40, 4)))

    def test_name_without_a_known_extension(self):
        path = self.write_video("video.avi", "MJPG", 5)
        path.rename(self.folder / "video.dat")
        self.ok("save", self.folder / "video.dat", self.folder / "store", "--format", "npy")
        self.assertEqual(self.json_of("info", self.folder / "store")["frame_count"], 5)


if __name__ == "__main__":
    unittest.main()
