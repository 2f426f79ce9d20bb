"""Plain videos, arrays and folders of images are looked up in like stores."""
import csv
import io
import json
import os
import subprocess
import unittest
import zipfile

import cv2
import numpy

from store_program import (DONE, FAILED, REAL_VIDEO, REAL_VIDEO_FRAMES, USAGE, StoreTestCase, decode_video,
                           hash_of_pixels, hash_of_tree, numbered_stack, psnr, read_number, run)

COUNT = 60


def expected_time(index):
    """A recording whose interval grows from 40 to 280 milliseconds and whose first frame is not at 0."""
    return (1500 + 40 * index + 2 * index * index) / 1000


def write_video(path, count=COUNT, options=("-c:v", "libx264", "-bf", "2", "-g", "10")):
    frames = numbered_stack(count)
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray", "-s", "64x48", "-r", "25",
                    "-i", "-", "-vf", "settb=1/1000,setpts=1500+40*N+2*N*N", "-vsync", "passthrough",
                    "-enc_time_base", "1:1000", *options, str(path)], input=frames.tobytes(), check=True)
    return path


class PlainVideo(StoreTestCase):
    def setUp(self):
        super().setUp()
        self.video = write_video(self.folder / "clip.mp4")
        self.before = hash_of_tree(self.folder)

    def number_of(self, *which, code=DONE):
        """What the frame's pixels say."""
        result = self.ok("get", self.video, *which, "-o", "-", "--as", "npy", code=code, binary=True)
        return read_number(numpy.load(io.BytesIO(result.out)))

    def test_info(self):
        info = self.json_of("info", self.video)
        self.assertEqual(info["kind"], "file")
        self.assertEqual(info["path"], str(self.video))
        self.assertEqual(info["frame_count"], COUNT)
        self.assertEqual((info["frame_number_min"], info["frame_number_max"]), (0, COUNT - 1))
        self.assertAlmostEqual(info["frame_time_min"], expected_time(0), places=6)
        self.assertAlmostEqual(info["frame_time_max"], expected_time(COUNT - 1), places=6)
        self.assertAlmostEqual(info["duration"], expected_time(COUNT - 1) - expected_time(0), places=6)
        self.assertIs(info["times_are_absolute"], False)
        self.assertEqual(info["image_shape"][:2], [48, 64])
        self.assertEqual(info["dtype"], "uint8")
        self.assertEqual(info["format"], "h264 in mov")
        self.assertIn(info["pixel_format"], ("gray", "yuv420p", "yuv444p"))
        self.assertEqual(info["rotation"], 0)
        self.assertEqual(info["bytes"], self.video.stat().st_size)
        self.assertIs(info["has_extra_data"], False)
        self.assertIs(info["closed"], True)
        self.assertEqual(info["user_metadata"], {})
        self.assertEqual(info["warnings"], [])
        for key in ("chunks", "class", "chunk_frames", "lossless", "encoding", "uuid", "created_utc", "timezone",
                    "extra_data_sample_rate"):
            self.assertIsNone(info[key], key)
        text = self.ok("info", self.video).out
        self.assertIn("h264 in mov", text)
        self.assertIn("0:00:01.500 to 0:00:10.822, counted from its own start", text)
        self.assertNotIn("1970", text)
        self.assertEqual(hash_of_tree(self.folder), self.before)

    def test_a_store_has_the_same_keys(self):
        store = self.save_stack(numbered_stack(3), "store", "--format", "npy")
        info = self.json_of("info", store)
        self.assertEqual(list(info), list(self.json_of("info", self.video)))
        self.assertEqual(info["kind"], "store")
        self.assertIs(info["times_are_absolute"], True)
        self.assertIsNone(info["rotation"])

    def test_frames(self):
        rows = self.lines_of("frames", self.video)
        self.assertEqual([row["index"] for row in rows], list(range(COUNT)))
        for row in rows:
            self.assertEqual(row["number"], row["index"])
            self.assertEqual((row["chunk"], row["position"]), (0, row["index"]))
            self.assertAlmostEqual(row["time"], expected_time(row["index"]), places=6)
        table = list(csv.DictReader(io.StringIO(self.ok("frames", self.video, "--csv", "--index", "-5::2").out)))
        self.assertEqual([int(row["index"]) for row in table], [COUNT - 5, COUNT - 3, COUNT - 1])
        self.assertEqual(hash_of_tree(self.folder), self.before)

    def test_times_are_those_of_the_file(self):
        for name, options in (("clip.mkv", ("-c:v", "libx264", "-bf", "2", "-g", "10")),
                              ("clip.mov", ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p")),
                              ("clip.ts", ("-c:v", "libx264", "-bf", "2", "-g", "10"))):
            video = write_video(self.folder / name, options=options)
            shown = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries",
                                    "frame=pts_time", "-of", "csv=p=0", str(video)], check=True, capture_output=True)
            expected = [float(line.rstrip(",")) for line in shown.stdout.decode().split()]
            rows = self.lines_of("frames", video)
            self.assertEqual(len(rows), len(expected), name)
            for row, time in zip(rows, expected):
                self.assertAlmostEqual(row["time"], time, places=6, msg=name)

    def test_get_by_index_number_and_time(self):
        for index in (37, 0, 59, 12, 13, 11):
            self.assertEqual(self.number_of("--index", index), index)
            self.assertEqual(self.number_of("--number", index), index)
            time = expected_time(index)
            self.assertEqual(self.number_of("--time", time), index)
            self.assertEqual(self.number_of("--time", time - 0.015), index)
            self.assertEqual(self.number_of("--time", time + 0.005, "--match", "previous"), index)
            self.assertEqual(self.number_of("--time", time - 0.005, "--match", "next"), index)
        self.assertEqual(self.number_of("--index", -1), COUNT - 1)
        self.assertEqual(self.number_of("--number", 1000, "--match", "nearest"), COUNT - 1)
        self.assertEqual(hash_of_tree(self.folder), self.before)

    def test_get_prints_and_writes(self):
        got = self.json_of("get", self.video, "--index", 23)
        self.assertEqual((got["index"], got["number"], got["dtype"]), (23, 23, "uint8"))
        self.assertAlmostEqual(got["time"], expected_time(23), places=6)
        self.ok("get", self.video, "--index", 23, "-o", self.folder / "out.npy")
        image = numpy.load(self.folder / "out.npy")
        self.assertEqual(got["sha256"], hash_of_pixels(image))
        self.ok("get", self.video, "--index", 23, "-o", self.folder / "out.png", "--gray")
        gray = cv2.imread(str(self.folder / "out.png"), cv2.IMREAD_UNCHANGED)
        self.assertEqual(gray.shape, (48, 64))
        self.assertEqual(read_number(gray), 23)

    def test_frames_that_are_not_there(self):
        for which, words in ((("--index", COUNT), ("0 to 59", )), (("--index", -61), ("0 to 59", )),
                             (("--number", 99), ("0 to 59", "--match nearest")),
                             (("--time", 0, "--match", "previous"), ("1.5", "10.82")),
                             (("--time", 3.3333, "--match", "exact"), ("3.3333", ))):
            self.assert_refused(run("get", self.video, *which), FAILED, "clip.mp4", *words)

    def test_dates_make_no_sense_in_a_plain_video(self):
        self.assert_refused(run("get", self.video, "--time", "2026-11-20T09:21:30"), USAGE, "clip.mp4", "seconds")
        self.assert_refused(run("get", self.video, "--time", "2026-11-20"), USAGE, "seconds")
        result = run("extract", self.video, self.folder / "o.npy", "--time", "2026-11-20..2026-11-21")
        self.assert_refused(result, USAGE, "seconds")
        self.assertEqual(hash_of_tree(self.folder), self.before)

    def test_extract(self):
        stack = self.extracted(self.video, "--index", "10:40:3", "--gray")
        self.assertEqual(stack.ndim, 3)
        self.assertEqual([read_number(image) for image in stack], list(range(10, 40, 3)))
        stack = self.extracted(self.video, "--index", "3:40:9223372036854775807")
        self.assertEqual([read_number(image) for image in stack], [3])
        stack = self.extracted(self.video, "--number", "7:9")
        self.assertEqual([read_number(image) for image in stack], [7, 8])
        stack = self.extracted(self.video, "--time", f"{expected_time(20) - 0.001}..{expected_time(30) - 0.001}")
        self.assertEqual([read_number(image) for image in stack], list(range(20, 30)))
        stack = self.extracted(self.video)
        self.assertEqual([read_number(image) for image in stack], list(range(COUNT)))

        out = self.folder / "part.avi"
        self.ok("extract", self.video, out, "--index", "5:15")
        self.assertEqual([read_number(frame) for frame in decode_video(out)], list(range(5, 15)))
        with open(f"{out}.frames.csv", newline="", encoding="utf-8") as file:
            listed = list(csv.DictReader(file))
        self.assertEqual([int(row["index"]) for row in listed], list(range(5, 15)))
        for row in listed:
            self.assertAlmostEqual(float(row["time"]), expected_time(int(row["index"])), places=6)

    def test_the_input_is_never_the_output(self):
        (self.folder / "link.mp4").symlink_to(self.video)
        before = hash_of_tree(self.folder)
        for out in (self.video, self.folder / "link.mp4", self.folder / ".." / self.folder.name / "clip.mp4"):
            self.assert_refused(run("extract", self.video, out, "--force"), USAGE, "the recording itself")
            self.assertEqual(hash_of_tree(self.folder), before)
        images = self.folder / "images"
        self.ok("extract", self.video, images, "--index", "0:3")
        before = hash_of_tree(images)
        for out in (images, images / "new.mp4", images / "x_{:03d}.png"):
            self.assert_refused(run("extract", images, out, "--force"), USAGE, "the recording itself")
        result = run("get", images, "--index", 0, "-o", images / "frame_000001.png", "--force")
        self.assert_refused(result, USAGE, "the recording itself")
        self.assertEqual(hash_of_tree(images), before)

    def test_extra(self):
        self.assertEqual(self.ok("extra", self.video).out, "")
        self.assertEqual(self.ok("extra", self.video, "--csv").out, "frame_index,frame_number,frame_time\n")

    def test_view(self):
        environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
        for recording in (self.video, REAL_VIDEO):
            result = run("view", recording, "--fps", 0, env=environment)
            self.assertEqual(result.code, DONE, result.err)
            self.assertIn(f"{COUNT if recording == self.video else REAL_VIDEO_FRAMES} frames", result.err)

    def test_a_video_that_is_saved_keeps_numbers_and_times(self):
        store = self.folder / "store"
        self.ok("save", self.video, store, "--format", "npy")
        times = [row["time"] for row in self.lines_of("frames", store)]
        self.assertEqual(times, [row["time"] for row in self.lines_of("frames", self.video)])

    def test_real_video(self):
        truth = decode_video(REAL_VIDEO, 400)
        for index in (399, 17, 200, 0):
            result = self.ok("get", REAL_VIDEO, "--index", index, "-o", "-", "--as", "npy", binary=True)
            self.assertGreater(psnr(numpy.load(io.BytesIO(result.out)), truth[index]), 35)


class PacketCache(StoreTestCase):
    def setUp(self):
        super().setUp()
        self.video = write_video(self.folder / "clip.mp4")
        self.cache = self.folder / "clip.mp4.packets.npz"

    def frames(self):
        return self.ok("frames", self.video, "--csv").out

    def test_made_on_request_and_used(self):
        before = self.frames()
        self.assertFalse(self.cache.exists())
        result = self.ok("index", self.video)
        self.assertEqual(result.out, "")
        self.assertIn(f"{COUNT} frames", result.err)
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["clip.mp4", "clip.mp4.packets.npz"])
        self.assertEqual(self.frames(), before)
        self.assertEqual(run("frames", self.video).err, "")
        for index in (33, 2, 59):
            self.assertEqual(read_number(self.extracted(self.video, "--index", index)[0]), index)
        self.assertEqual(self.json_of("info", self.video)["warnings"], [])
        bytes_ = self.cache.read_bytes()
        self.ok("index", self.video)
        self.assertEqual(self.cache.read_bytes(), bytes_)

    def test_what_is_in_it(self):
        """As spec/packet_cache.md says, read by numpy alone."""
        self.ok("index", self.video)
        with numpy.load(self.cache, allow_pickle=False) as members:
            facts = json.loads(members["facts"].tobytes())
            self.assertEqual(facts["version"], 1)
            self.assertEqual(facts["file_size"], self.video.stat().st_size)
            self.assertEqual((facts["packets"], facts["frames"]), (COUNT, COUNT))
            self.assertEqual(facts["container"], "mov")
            self.assertIs(facts["contiguous"], True)
            self.assertEqual(facts["stream"]["codec"], "h264")
            data = self.video.read_bytes()
            for offset, size in zip(members["offset"], members["size"]):
                # Each packet begins with the length of its first unit.
                length = int.from_bytes(data[int(offset):int(offset) + 4], "big")
                self.assertLessEqual(length + 4, size)
            num, den = facts["stream"]["time_base"]
            times = members["pts"][members["display_order"]] * num / den
            for index, time in enumerate(times):
                self.assertAlmostEqual(time, expected_time(index), places=6)
            self.assertEqual(members["flags"][0] & 1, 1)
            self.assertEqual(len(members["checksum"]), COUNT)
        with zipfile.ZipFile(self.cache) as archive:
            self.assertEqual({member.compress_type for member in archive.infolist()}, {zipfile.ZIP_STORED})

    def test_stale(self):
        self.ok("index", self.video)
        write_video(self.video, 30)
        result = self.ok("frames", self.video, "--csv")
        self.assertEqual(len(result.out.splitlines()), 31)
        self.assertIn("has changed since clip.mp4.packets.npz was made", result.err)
        self.assertIn(f"`store index {self.video}` renews it", result.err)
        self.assertEqual(len(self.json_of("info", self.video)["warnings"]), 1)
        self.ok("index", self.video)
        self.assertEqual(self.ok("frames", self.video, "--csv").err, "")

    def test_damaged(self):
        self.ok("index", self.video)
        good = self.cache.read_bytes()
        expected = self.frames()
        for bytes_ in (b"", b"x", good[:len(good) // 2], good[:100] + bytes(100) + good[200:]):
            self.cache.write_bytes(bytes_)
            result = self.ok("frames", self.video, "--csv")
            self.assertEqual(result.out, expected)
            self.assertIn("cannot be used", result.err)

    def test_damage_of_the_video_is_an_error_of_its_frames(self):
        out = self.folder / "clip.avi"
        self.ok("extract", self.video, out)
        self.ok("index", out)
        with numpy.load(out.with_name("clip.avi.packets.npz")) as members:
            place = int(members["offset"][5]) + int(members["size"][5]) // 2
        data = bytearray(out.read_bytes())
        data[place] ^= 0x40
        out.write_bytes(data)
        self.assert_refused(run("get", out, "--index", 5), FAILED, "clip.avi", "frame index 5", "changed")
        self.ok("get", out, "--index", 6)
        stack = self.folder / "stack.npy"
        result = run("extract", out, stack)
        self.assertEqual(result.code, 3, result.err)
        self.assertEqual(len(numpy.load(stack)), COUNT - 1)

    def test_only_videos_have_one(self):
        numpy.save(self.folder / "a.npy", numbered_stack(3))
        (self.folder / "text.txt").write_text("hello")
        for name in ("a.npy", "text.txt", "missing"):
            self.assert_refused(run("index", self.folder / name), FAILED, name)
        self.assertEqual([path.name for path in self.folder.glob("*.npz")], [])


class OtherFiles(StoreTestCase):
    def test_arrays_and_folders_of_images(self):
        stack = numbered_stack(12)
        numpy.save(self.folder / "stack.npy", stack)
        images = self.folder / "images"
        self.ok("extract", self.folder / "stack.npy", images)
        cv2.imwrite(str(self.folder / "one.png"), stack[0])
        for path, count, kind in ((self.folder / "stack.npy", 12, "npy"), (images, 12, "image folder"),
                                  (self.folder / "one.png", 1, "image")):
            info = self.json_of("info", path)
            self.assertEqual((info["frame_count"], info["format"]), (count, kind))
            for key in ("frame_time_min", "frame_time_max", "times_are_absolute", "duration", "pixel_format"):
                self.assertIsNone(info[key], key)
            self.assertGreater(info["bytes"], 0)
            for index in (count - 1, 0, count // 2):
                got = self.json_of("get", path, "--index", index)
                self.assertEqual(got["sha256"], hash_of_pixels(stack[index]))
                self.assertIsNone(got["time"])
            self.assertEqual([row["time"] for row in self.lines_of("frames", path)], [None] * count)
            self.assert_refused(run("get", path, "--time", 0), FAILED, "no times")
            self.assertIn("time none", self.ok("get", path, "--index", 0).out)
        self.assertIn("times        none", self.ok("info", images).out)

    def test_videos_are_aligned(self):
        left = write_video(self.folder / "left.mp4", 10)
        right = write_video(self.folder / "right.mkv", 6)
        rows = list(csv.DictReader(io.StringIO(self.ok("align", left, right, "--time").out)))
        self.assertEqual([(row["index_1"], row["index_2"]) for row in rows], [(str(i), str(i)) for i in range(6)])
        rows = list(csv.DictReader(io.StringIO(self.ok("align", left, right, "--policy", "hold").out)))
        self.assertEqual([(row["index_1"], row["index_2"]) for row in rows],
                         [(str(i), str(min(i, 5))) for i in range(10)])

    def test_what_cannot_be_read(self):
        (self.folder / "empty").mkdir()
        (self.folder / "text.txt").write_text("hello")
        (self.folder / "text.mp4").write_text("hello " * 1000)
        os.mkfifo(self.folder / "pipe")
        for path, words in (("missing", ("no such file", )), ("missing.mp4", ("no such file", )),
                            ("empty", ("neither a store", "images")), ("text.txt", ("no format can read this", )),
                            ("text.mp4", ("not a video", )), ("pipe", ("neither a file nor a folder", ))):
            for verb in (("get", "--index", 0), ("frames", ), ("info", ), ("extra", ), ("view", ),
                         ("extract", self.folder / "out.npy")):
                result = run(verb[0], self.folder / path, *verb[1:], timeout=20)
                self.assert_refused(result, FAILED, path, *words)
        self.assertFalse((self.folder / "out.npy").exists())

    def test_cameras_are_no_recordings(self):
        for verb in (("get", "--index", 0), ("frames", ), ("info", )):
            self.assert_refused(run(verb[0], "/dev/video77", *verb[1:]), FAILED, "/dev/video77", "camera",
                                "store save")

    def test_help_has_examples_of_both(self):
        for verb in ("get", "frames", "extract", "info", "view", "index"):
            text = self.ok("help", verb).out
            self.assertIn("mystore" if verb != "index" else "imgstore", text)
            self.assertIn("store " + verb + " video.", text)


if __name__ == "__main__":
    unittest.main()
