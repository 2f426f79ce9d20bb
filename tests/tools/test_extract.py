"""`store extract` and `store get` into files."""
import csv
import pathlib
import shutil
import signal
import subprocess
import time
import unittest

import cv2
import numpy

from store_program import (DATA_LOST, FAILED, FIRST_TIME, GOLDEN, INTERRUPTED, USAGE, StoreTestCase, command,
                           decode_video, hash_of_tree, numbered_stack, read_number, run)

COUNT = 20


class Extract(StoreTestCase):
    def setUp(self):
        super().setUp()
        self.store = self.save_stack(numbered_stack(COUNT), "store", "--format", "npy", "--chunk-frames", 6)
        self.rows = self.lines_of("frames", self.store)

    def list_of(self, path):
        with open(path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def check_list(self, path, indices, rows=None):
        rows = rows or self.rows
        expected = [{"output": place, "index": index, "number": rows[index]["number"], "time": rows[index]["time"]}
                    for place, index in enumerate(indices)]
        found = [{"output": int(row["output"]), "index": int(row["index"]), "number": int(row["number"]),
                  "time": float(row["time"])} for row in self.list_of(path)]
        self.assertEqual(found, expected)

    def test_folder(self):
        for name in ("frames", "frames/"):
            out = self.folder / "out"
            out.mkdir()
            self.ok("extract", self.store, f"{out}/{name}")
            names = sorted(path.name for path in (out / "frames").iterdir())
            self.assertEqual(names, [f"frame_{index:06d}.png" for index in range(COUNT)])
            for index, path in enumerate(sorted((out / "frames").iterdir())):
                self.assertEqual(read_number(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)), index)
            self.check_list(out / "frames.frames.csv", range(COUNT))
            shutil.rmtree(out)

    def test_empty_folder_that_exists(self):
        (self.folder / "frames").mkdir()
        self.ok("extract", self.store, self.folder / "frames")
        self.assertEqual(len(list((self.folder / "frames").iterdir())), COUNT)

    def test_pattern(self):
        for extension in ("png", "tif", "bmp", "pgm", "npy"):
            out = self.folder / extension
            self.ok("extract", self.store, out / ("img{:03d}_x." + extension), "--index", "4:7")
            names = sorted(path.name for path in out.iterdir())
            self.assertEqual(names, [f"img{place:03d}_x.{extension}" for place in range(3)])
            path = str(out / names[1])
            image = numpy.load(path) if extension == "npy" else cv2.imread(path, cv2.IMREAD_UNCHANGED)
            self.assertEqual(read_number(image), 5)
            self.check_list(self.folder / f"{extension}.frames.csv", [4, 5, 6])

    def test_pattern_in_the_working_folder(self):
        work = self.folder / "work"
        work.mkdir()
        result = run("extract", self.store, "frame_{:06d}.png", "--index", "0:2", cwd=work)
        self.assertEqual(result.code, 0, result.err)
        self.assertTrue((work / "frame_000001.png").exists())
        lists = [path for path in list(work.rglob("*")) + list(self.folder.glob(".*")) if path.name.endswith(".csv")]
        self.assertEqual(len(lists), 1, f"list of frames: {lists}")
        self.assertFalse(lists[0].name.startswith("."), f"{lists[0].name} is hidden")

    def test_videos(self):
        for extension in ("mp4", "mkv", "avi", "mov"):
            out = self.folder / f"clip.{extension}"
            self.ok("extract", self.store, out)
            frames = decode_video(out)
            self.assertEqual([read_number(frame) for frame in frames], list(range(COUNT)))
            self.assertAlmostEqual(cv2.VideoCapture(str(out)).get(cv2.CAP_PROP_FPS), 25, delta=0.1)
            self.check_list(f"{out}.frames.csv", range(COUNT))

    def test_frame_rate(self):
        out = self.folder / "clip.mp4"
        self.ok("extract", self.store, out, "--fps", 7)
        self.assertAlmostEqual(cv2.VideoCapture(str(out)).get(cv2.CAP_PROP_FPS), 7, delta=0.1)

    def test_array(self):
        out = self.folder / "stack.npy"
        self.ok("extract", self.store, out, "--index", "-6:-1:2")
        stack = numpy.load(out)
        numpy.testing.assert_array_equal(stack, numbered_stack(COUNT)[-6:-1:2])
        self.check_list(f"{out}.frames.csv", [14, 16, 18])

    def test_single_image(self):
        for extension in ("tif", "png", "bmp"):
            out = self.folder / f"one.{extension}"
            self.ok("extract", self.store, out, "--index", "-3:-2")
            self.assertEqual(read_number(cv2.imread(str(out), cv2.IMREAD_UNCHANGED)), 17)

    def test_many_frames_into_a_single_image_leave_nothing(self):
        out = self.folder / "one.png"
        result = run("extract", self.store, out)
        self.assert_refused(result, 2, "one.png")
        self.assertFalse(out.exists(), "a file with one of many frames stays behind")
        self.assertFalse((self.folder / "one.png.frames.csv").exists(), "a list of frames stays behind")

    def test_ranges(self):
        out = self.folder / "stack.npy"
        for option, text, expected in (("--index", "3", [3]), ("--index", "-1", [19]), ("--index", "5:", range(5, 20)),
                                       ("--index", "::9", [0, 9, 18]), ("--number", "2:4", [2, 3]),
                                       ("--number", "18:", [18, 19]), ("--number", "7", [7])):
            self.ok("extract", self.store, out, option, text, "--force")
            self.check_list(f"{out}.frames.csv", expected)
            self.assertEqual([read_number(image) for image in numpy.load(out).reshape(-1, 48, 64)], list(expected))

    def test_times(self):
        store = GOLDEN / "npy-gray"
        rows = self.lines_of("frames", store)
        out = self.folder / "stack.npy"
        for text, expected in ((f"{FIRST_TIME}..{rows[3]['time']!r}", [0, 1, 2]),
                               ("2020-01-01T00:00:00.8..2020-01-01T00:00:01", [20, 21, 22]),
                               (f"..{FIRST_TIME + 0.05}", [0, 1]), (f"{FIRST_TIME + 0.86}..", [22])):
            self.ok("extract", store, out, "--time", text, "--force")
            self.check_list(f"{out}.frames.csv", expected, rows)

    def test_numbers_that_are_no_indices(self):
        store = GOLDEN / "npy-wrap"
        rows = self.lines_of("frames", store)
        out = self.folder / "stack.npy"
        self.ok("extract", store, out, "--number", "6055:6060")
        self.check_list(f"{out}.frames.csv", [1, 2], rows)
        store = GOLDEN / "npy-negative"
        rows = self.lines_of("frames", store)
        self.ok("extract", store, out, "--number=-3:1", "--force")
        self.check_list(f"{out}.frames.csv", [1, 2, 3, 4], rows)

    def test_nothing_selected(self):
        result = run("extract", self.store, self.folder / "stack.npy", "--index", "5:5")
        self.assertIn(result.code, (0, 1, 2), result.err)
        self.assertNotIn("unexpected", result.err)
        for name in ("clip.mp4", "frames"):
            result = run("extract", self.store, self.folder / name, "--number", "500:600")
            self.assertIn(result.code, (0, 1, 2), result.err)

    def test_existing_output_is_refused(self):
        for name in ("stack.npy", "clip.mp4", "one.png"):
            out = self.folder / name
            out.write_bytes(b"precious")
            self.assert_refused(run("extract", self.store, out, "--index", "0:1"), 1, name, "--force")
            self.assertEqual(out.read_bytes(), b"precious")
            self.ok("extract", self.store, out, "--index", "0:1", "--force")
            self.assertNotEqual(out.read_bytes(), b"precious")
        folder = self.folder / "frames"
        folder.mkdir()
        (folder / "notes.txt").write_text("precious")
        for force in ((), ("--force",)):
            self.assert_refused(run("extract", self.store, folder, *force), 1, folder)
        self.assertEqual([path.name for path in folder.iterdir()], ["notes.txt"])
        (folder / "frame_000007.png").write_bytes(b"precious")
        for force in ((), ("--force",)):
            self.assert_refused(run("extract", self.store, folder / "frame_{:06d}.png", *force), 1, "frame_000007.png")
        self.ok("extract", self.store, folder / "other_{:06d}.png", "--index", "0:2")
        self.assertEqual(sorted(path.name for path in folder.iterdir()),
                         ["frame_000007.png", "notes.txt", "other_000000.png", "other_000001.png"])

    def test_force_spares_the_old_output_when_the_new_one_cannot_begin(self):
        out = self.folder / "clip.mp4"
        for options in (("--set", "nonsense=3"), ("--index", "50"), ("--filter", "nonsense"), ("--fps", "5000000")):
            with self.subTest(options=options):
                out.write_bytes(b"precious")
                result = run("extract", self.store, out, "--force", *options)
                self.assert_refused(result, 2)
                self.assertTrue(out.exists(), "the old file is gone")
                self.assertEqual(out.read_bytes(), b"precious")

    def test_force_spares_the_old_output_when_no_frame_can_be_read(self):
        store = self.save_stack(numbered_stack(4), "lost", "--format", "png")
        for path in (store / "000000").glob("*.png"):
            path.unlink()
        out = self.folder / "clip.npy"
        out.write_bytes(b"precious")
        result = self.ok("extract", store, out, "--force", code=DATA_LOST)
        self.assertIn("4 frames could not be read", result.err)
        self.assertEqual(out.read_bytes(), b"precious")

    def test_force_keeps_the_old_output_when_interrupted(self):
        long = self.folder / "long.npy"
        numpy.lib.format.open_memmap(long, mode="w+", dtype=numpy.uint8, shape=(400, 4000, 5000))
        out = self.folder / "clip.raw"
        out.write_bytes(b"precious")
        with subprocess.Popen(command("extract", long, out, "--filter", "flip,crop=0:0:64:48", "--force"),
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            while process.poll() is None and (not out.exists() or out.read_bytes() in (b"", b"precious")):
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            message = process.stderr.read().decode()
            self.assertEqual(process.wait(60), INTERRUPTED, message)
        old = self.folder / "clip.raw.old"
        self.assertIn(str(old), message)
        self.assertEqual(old.read_bytes(), b"precious")
        self.assertEqual(out.stat().st_size % (64 * 48), 0)

    def test_two_outputs_in_one_place(self):
        out = self.folder / "stack.npy"
        (self.folder / "linked").symlink_to(self.folder)
        for place in ("./stack.npy", out, "linked/stack.npy"):
            for option in ("--list", "--timecodes"):
                result = run("extract", self.store, "stack.npy", option, place, cwd=self.folder)
                self.assert_refused(result, USAGE, "two outputs")
        self.ok("extract", self.store, self.folder / "first.mat", "--set", "field=first")
        before = (self.folder / "first.mat").read_bytes()
        for option in ("--list", "--timecodes"):
            result = run("extract", self.store, self.folder / "first.mat", "--set", "field=second", "--set",
                         "append=yes", option, self.folder / "first.mat", "--force")
            self.assert_refused(result, USAGE, "two outputs")
        self.assertEqual((self.folder / "first.mat").read_bytes(), before)

    def test_lists_spare_folders_and_devices(self):
        folder = self.folder / "results"
        folder.mkdir()
        (folder / "notes.txt").write_text("precious")
        out = self.folder / "stack.npy"
        for option in ("--list", "--timecodes"):
            for name in ("results", "results/"):
                result = run("extract", self.store, out, option, f"{self.folder}/{name}", "--force")
                self.assert_refused(result, USAGE, "folder")
                self.assertEqual((folder / "notes.txt").read_text(), "precious")
        self.ok("extract", self.store, out, "--list", "/dev/null", "--force")
        self.assertFalse(pathlib.Path("/dev/null").is_file())
        self.assertTrue(pathlib.Path("/dev/null").exists())
        self.assertFalse(pathlib.Path("/dev/null.old").exists())

    def test_list_that_cannot_be_written(self):
        out = self.folder / "stack.npy"
        for option, place in (("--list", self.folder / "missing" / "list.csv"),
                              ("--timecodes", self.folder / "missing" / "times.txt"), ("--list", "/dev/full")):
            self.assert_refused(run("extract", self.store, out, option, place), FAILED, place)
            self.assertFalse(out.exists())

    def test_output_into_the_store_one_stands_in(self):
        store = self.folder / "copy"
        shutil.copytree(self.store, store)
        self.assert_refused(run("extract", ".", "clip.npy", cwd=store), USAGE, "in the recording itself")
        self.assertEqual(hash_of_tree(store), hash_of_tree(self.store))

    def test_output_onto_the_store_itself(self):
        """--force must not take a part of the store that is being read."""
        for place, name in enumerate(("metadata.yaml", "000000/000001.npy", "index.sqlite")):
            store = self.folder / f"copy{place}"
            shutil.copytree(self.store, store)
            with self.subTest(name=name):
                result = run("extract", store, store / name, "--force")
                self.assertIn(result.code, (1, 2), result.err)
                self.assertTrue((store / name).exists(), f"{name} was removed: {result.err}")
                self.assertEqual(hash_of_tree(store), hash_of_tree(self.store))

    def test_output_inside_of_nothing(self):
        result = run("extract", self.store, self.folder / "missing" / "stack.npy")
        self.assert_refused(result, 1, "missing")
        self.assertIn(run("extract", self.store, self.folder / "stack.xyz").code, (1, 2))
        self.assertFalse((self.folder / "stack.xyz.frames.csv").exists())

    def test_refused_output_leaves_no_list(self):
        result = run("extract", GOLDEN / "npy-float32", self.folder / "clip.mp4")
        self.assert_refused(result, 1, "clip.mp4")
        self.assertFalse((self.folder / "clip.mp4").exists())
        self.assertFalse((self.folder / "clip.mp4.frames.csv").exists(), "a list of frames stays behind")

    def test_gray_filter(self):
        out = self.folder / "stack.npy"
        self.ok("extract", GOLDEN / "npy-color", out, "--filter", "gray", "--index", ":2")
        self.assertEqual(numpy.load(out).shape[:3], (2, 48, 64))


class DamagedStores(StoreTestCase):
    def test_missing_image(self):
        store = self.save_stack(numbered_stack(10), "store", "--format", "png", "--chunk-frames", 4)
        (store / "000001" / "000002.png").unlink()
        out = self.folder / "out.npy"
        result = self.ok("extract", store, out, code=3)
        self.assertEqual([read_number(image) for image in numpy.load(out)], [0, 1, 2, 3, 4, 5, 7, 8, 9])
        with open(f"{out}.frames.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([(int(row["output"]), int(row["index"])) for row in rows],
                         list(enumerate([0, 1, 2, 3, 4, 5, 7, 8, 9])))
        self.assertIn("000002.png", result.err)
        result = run("get", store, "--index", 6)
        self.assert_refused(result, 1, "chunk 1", "frame index 6")

    def test_cut_off_image(self):
        for name in ("png", "tif", "bmp", "npy", "pgm"):
            store = self.save_stack(numbered_stack(4), "cut_" + name, "--format", name)
            path = store / "000000" / f"000001.{name}"
            path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
            with self.subTest(format=name):
                self.assert_refused(run("get", store, "--index", 1), 1, "000001", "frame index 1")
                frames = self.extracted(store, code=3)
                self.assertEqual([read_number(image) for image in frames], [0, 2, 3])

    def test_cut_off_video(self):
        for name, extension in (("avc1/mp4", ".mp4"), ("h264/mkv", ".mkv"), ("mjpeg/avi", ".avi")):
            for indexed in (True, False):
                store = self.save_stack(numbered_stack(60), f"store{extension}{indexed}", "--format", name,
                                        "--chunk-frames", 30)
                media = store / f"000000{extension}"
                media.write_bytes(media.read_bytes()[:media.stat().st_size * 2 // 3])
                if not indexed:
                    (store / "index.sqlite").unlink()
                with self.subTest(format=name, indexed=indexed):
                    frames = self.extracted(store, code=3)
                    numbers = [read_number(image) for image in frames]
                    self.assertEqual(numbers[-30:], list(range(30, 60)))
                    readable = len(numbers) - 30
                    self.assertEqual(numbers[:readable], list(range(readable)))
                    if indexed or extension != ".mp4":
                        self.assertGreater(readable, 5, "no frame of the cut chunk was read")
                    self.assert_refused(run("get", store, "--index", 29), 1, f"000000{extension}", "chunk 0",
                                        "frame index 29")
                    self.assertEqual(run("get", store, "--index", 45).code, 0)

    def test_missing_chunk(self):
        store = self.save_stack(numbered_stack(9), "store", "--format", "mjpeg/avi", "--chunk-frames", 3)
        (store / "000001.avi").unlink()
        frames = self.extracted(store, code=3)
        self.assertEqual([read_number(image) for image in frames], [0, 1, 2, 6, 7, 8])
        self.assert_refused(run("get", store, "--index", 4), 1, "000001.avi", "chunk 1")


class Get(StoreTestCase):
    def test_every_kind_of_file(self):
        store = GOLDEN / "npy-color"
        image = self.extracted(store, "--index", "3")
        image = image.reshape(image.shape[-3:])
        for extension in ("png", "npy", "tif", "bmp", "ppm", "raw", "jpg"):
            out = self.folder / f"frame.{extension}"
            self.ok("get", store, "--index", 3, "-o", out)
            if extension == "raw":
                read = numpy.fromfile(out, numpy.uint8).reshape(image.shape)
            else:
                read = numpy.load(out) if extension == "npy" else cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
            if extension == "jpg":
                self.assertLess(numpy.abs(read.astype(int) - image).mean(), 10)
            else:
                numpy.testing.assert_array_equal(read, image)

    def test_stdout(self):
        store = GOLDEN / "npy-gray"
        expected = self.extracted(store)[3]
        result = run("get", store, "--index", 3, "-o", "-", binary=True)
        numpy.testing.assert_array_equal(cv2.imdecode(numpy.frombuffer(result.out, numpy.uint8), -1), expected)
        result = run("get", store, "--index", 3, "-o", "-", "--as", "raw", binary=True)
        self.assertEqual(result.out, expected.tobytes())

    def test_existing_file(self):
        out = self.folder / "frame.png"
        out.write_bytes(b"precious")
        self.assert_refused(run("get", GOLDEN / "npy-gray", "--index", 0, "-o", out), 1, "frame.png", "--force")
        self.assertEqual(out.read_bytes(), b"precious")
        self.ok("get", GOLDEN / "npy-gray", "--index", 0, "-o", out, "--force")

    def test_image_that_the_kind_of_file_cannot_hold(self):
        for store, extension in (("npy-float32", "png"), ("npy-float32", "jpg"), ("npy-uint16", "jpg"),
                                 ("npy-uint16", "bmp"), ("npy-color", "pgm"), ("npy-gray", "xyz"), ("npy-gray", "")):
            out = self.folder / (f"{store}.{extension}" if extension else "frame")
            with self.subTest(store=store, extension=extension):
                result = run("get", GOLDEN / store, "--index", 0, "-o", out)
                self.assertIn(result.code, (1, 2))
                self.assertNotIn("unexpected", result.err)
                self.assertFalse(out.exists())


if __name__ == "__main__":
    unittest.main()
