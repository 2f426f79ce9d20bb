"""`store copy` and `store save --copy`: frames that go over as they are encoded."""
import json
import shutil
import signal
import subprocess
import time
import unittest

import cv2
import numpy

from store_program import (DATA_LOST, DONE, FAILED, FIRST_TIME, GOLDEN, INTERRUPTED, REAL_VIDEO, REAL_VIDEO_FRAMES, USAGE,
                           StoreTestCase, command, decode_video, hash_of_tree, numbered_stack, read_number, run)
from test_imgstore_layout import ImgstoreReader

COUNT = 50
GOP = 8


class CopyTestCase(StoreTestCase):
    def video_store(self, name="store", *options, format="avc1/mp4", chunk_frames=20, count=COUNT, bframes=2):
        images = numbered_stack(count, channels=3)
        codec = [] if format == "mjpeg/avi" else ["--set", f"gop={GOP}", "--set", f"bframes={bframes}"]
        return self.save_stack(images, name, "--format", format, "--chunk-frames", chunk_frames, *codec, *options)

    def rows(self, store):
        return [(row["number"], row["time"]) for row in self.lines_of("frames", store)]

    def assert_same_frames(self, copy, source, first=0, last=None, pixels=True):
        rows = self.rows(source)[first:last]
        self.assertEqual(self.rows(copy), rows)
        if pixels:
            self.assertTrue(numpy.array_equal(self.extracted(copy), self.extracted(source)[first:last]))

    def verified(self, store):
        self.ok("verify", store, "--level", "hash")
        return store


class Copy(CopyTestCase):
    def test_whole(self):
        source = self.video_store("a", "--meta", "who=me")
        copy = self.folder / "b"
        printed = self.json_of("copy", source, copy)
        self.assertEqual(printed, {"frames": COUNT, "frames_damaged": 0,
                                   "stores": [{"path": str(copy), "frames": COUNT}]})
        self.assert_same_frames(self.verified(copy), source)
        before, after = self.json_of("info", source), self.json_of("info", copy)
        for key in ("chunks", "format", "image_shape", "dtype", "chunk_frames", "created_utc", "timezone", "user_metadata",
                    "bytes"):
            self.assertEqual(after[key], before[key], key)
        self.assertNotEqual(after["uuid"], before["uuid"])
        self.assertTrue(after["closed"])

    def test_ranges(self):
        source = self.video_store()
        numbers = [row[0] for row in self.rows(source)]
        times = [row[1] for row in self.rows(source)]
        for place, (options, first, last) in enumerate([
                (["--index", "7:31"], 7, 31), (["--index", "-3:"], COUNT - 3, COUNT), (["--index", "20"], 20, 21),
                (["--number", f"{numbers[5]}:{numbers[9]}"], 5, 9),
                (["--time", f"{times[11]!r}..{times[30]!r}"], 11, 30)]):
            copy = self.folder / f"copy{place}"
            self.ok("copy", source, copy, *options)
            self.assert_same_frames(self.verified(copy), source, first, last)

    def test_other_programs_see_the_frames_of_a_cut_mp4(self):
        source = self.video_store()
        copy = self.folder / "copy"
        self.ok("copy", source, copy, "--index", "5:47", "--chunk-frames", 9)
        seen = []
        for path in sorted(copy.glob("*.mp4")):
            frames = decode_video(path)
            counted = subprocess.run(["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0", "-show_entries",
                                      "stream=nb_read_frames", "-of", "csv=p=0", path], stdout=subprocess.PIPE, check=True)
            self.assertEqual(int(counted.stdout), len(frames), path)
            seen += [read_number(frame) for frame in frames]
        self.assertEqual(seen, list(range(5, 47)))
        reader = ImgstoreReader(copy)
        self.assertEqual(reader.numbers(), [row[0] for row in self.rows(source)[5:47]])
        # Without the index the edit lists say what is to be shown.
        (copy / "index.sqlite").unlink()
        self.assert_same_frames(copy, source, 5, 47)
        self.ok("index", copy)
        self.assert_same_frames(self.verified(copy), source, 5, 47)

    def test_mkv(self):
        source = self.video_store(format="h264/mkv", bframes=0)
        clean, inside = self.folder / "clean", self.folder / "inside"
        self.ok("copy", source, clean, "--index", f"{GOP}:{2 * GOP}")
        self.assertEqual(self.json_of("info", clean)["format"], "h264/mkv")
        self.assert_same_frames(self.verified(clean), source, GOP, 2 * GOP)
        result = self.ok("copy", source, inside, "--index", "3:30")
        self.assertIn("avc1/mp4", result.err)
        self.assertEqual(self.json_of("info", inside)["format"], "avc1/mp4")
        self.assert_same_frames(self.verified(inside), source, 3, 30)

    def test_merge_and_split(self):
        source = self.video_store("a")
        self.ok("copy", source, self.folder / "part", "--split-frames", 15)
        parts = [self.folder / f"part_{place:03d}" for place in range(4)]
        self.assertEqual(sorted(path.name for path in self.folder.glob("part*")), [path.name for path in parts])
        for place, part in enumerate(parts):
            self.assert_same_frames(self.verified(part), source, 15 * place, min(COUNT, 15 * place + 15))
        again = self.folder / "again"
        self.ok("copy", *parts, again)
        self.assert_same_frames(self.verified(again), source)
        # Numbers and times stay as they are, also where they begin anew.
        twice = self.folder / "twice"
        self.ok("copy", parts[1], parts[0], parts[1], f"{twice}/", "--chunk-frames", 100)
        rows = self.rows(source)
        self.assertEqual(self.rows(twice), rows[15:30] + rows[:15] + rows[15:30])
        self.verified(twice)

    def test_split_by_time(self):
        source = self.save_stack(numbered_stack(10), "a", "--format", "png")
        self.json_of("copy", source, self.folder / "part", "--split-seconds", "0.14")
        counts = [len(self.rows(path)) for path in sorted(self.folder.glob("part_*"))]
        self.assertEqual(counts, [4, 4, 2])

    def test_split_refuses_what_is_there(self):
        source = self.save_stack(numbered_stack(4), "a", "--format", "png")
        (self.folder / "part_000").mkdir()
        (self.folder / "part_000" / "mine").touch()
        self.assert_refused(run("copy", source, self.folder / "part", "--split-frames", 2), FAILED, "exists already")
        self.assertFalse((self.folder / "part_001").exists())

    def test_extra_data_and_events(self):
        source = GOLDEN / "npy-color"
        copy = self.folder / "copy"
        self.ok("copy", source, copy, "--index", "1:")
        expected = [{**record, "frame_index": record["frame_index"] - 1} for record in self.lines_of("extra", source)
                    if record["frame_index"] >= 1]
        self.assertEqual(self.lines_of("extra", copy), expected)
        self.assertIn("copied", self.ok("events", copy).out)

    def test_user_metadata(self):
        one = self.save_stack(numbered_stack(2), "one", "--format", "png", "--meta", "who=me", "--meta", "rig=3")
        two = self.save_stack(numbered_stack(2), "two", "--format", "png", "--meta", "who=you", "--meta", "rig=3")
        result = self.ok("copy", one, two, self.folder / "all", "--meta", "day='007'")
        self.assertIn("who", result.err)
        self.assertNotIn("rig", result.err)
        self.assertEqual(self.json_of("info", self.folder / "all")["user_metadata"], {"who": "me", "rig": 3, "day": "007"})
        quiet = self.ok("copy", one, two, self.folder / "told", "--meta", "who=us")
        self.assertNotIn("note", quiet.err)

    def test_wrong_usage(self):
        source = self.save_stack(numbered_stack(4), "a", "--format", "png")
        out = self.folder / "out"
        before = hash_of_tree(source)
        for options in (["--index", "0:4:2"], ["--index", "x"], ["--index", "0:1", "--number", "0:1"], ["--format", "npy"],
                        ["--set", "level=1"], ["--split-frames", 0], ["--split-frames", 2, "--split-seconds", 1],
                        ["--split-frames", 2, "--reencode"], ["--chunk-frames", 0], ["--meta", "x"], ["--nonsense"]):
            self.assert_refused(run("copy", source, out, *options), USAGE)
        self.assert_refused(run("copy", source), USAGE)
        self.assert_refused(run("copy", source, source / "inside"), USAGE, "would lie in its source")
        self.assert_refused(run("copy", source, source, "--force"), USAGE)
        part = self.folder / "part_001"
        self.ok("copy", source, part)
        self.assert_refused(run("copy", part, self.folder / "part", "--split-frames", 2, "--force"), USAGE,
                            "would be replaced")
        self.assertEqual(len(self.rows(part)), 4)
        self.assert_refused(run("copy", self.folder / "nothing", out), FAILED)
        self.assert_refused(run("copy", source, out, "--index", "4:"), FAILED, "no frame was selected")
        self.assert_refused(run("copy", source, out, "--number", "100:200"), FAILED, "no frame was selected")
        self.assert_refused(run("copy", source, out, "--reencode", "--number", "100:200"), FAILED, "no frame was selected")
        self.assertFalse(out.exists())
        self.assertEqual(hash_of_tree(source), before)

    def test_force(self):
        source = self.save_stack(numbered_stack(4), "a", "--format", "png")
        other = self.save_stack(numbered_stack(2), "b", "--format", "png")
        self.assert_refused(run("copy", source, other), FAILED, "--force")
        self.ok("copy", source, other, "--force")
        self.assertEqual(len(self.rows(other)), 4)
        self.assertEqual([path.name for path in self.folder.glob("b*")], ["b"])
        mine = self.folder / "mine"
        mine.mkdir()
        (mine / "thesis.txt").write_text("all of it")
        self.assert_refused(run("copy", source, mine, "--force"), FAILED, "only replaces stores")

    def test_stores_that_do_not_fit(self):
        png = self.save_stack(numbered_stack(4), "png", "--format", "png")
        npy = self.save_stack(numbered_stack(4, first=4), "npy", "--format", "npy")
        out = self.folder / "out"
        self.assert_refused(run("copy", png, npy, out), USAGE, png, npy, "--reencode")
        self.assertFalse(out.exists())
        self.ok("copy", png, npy, out, "--reencode", "--format", "png")
        self.assertTrue(numpy.array_equal(self.extracted(self.verified(out)), numbered_stack(8)))

    def test_reencode(self):
        source = self.video_store()
        copy = self.folder / "copy"
        self.ok("copy", source, copy, "--index", "3:40:2", "--reencode", "--format", "png", "--chunk-frames", 7)
        self.assertEqual(self.rows(copy), self.rows(source)[3:40:2])
        self.assertTrue(numpy.array_equal(self.extracted(copy), self.extracted(source)[3:40:2]))
        self.assertEqual(self.json_of("info", copy)["chunk_frames"], 7)
        self.assertEqual(self.json_of("info", copy)["created_utc"], self.json_of("info", source)["created_utc"])
        small = self.folder / "small"
        self.ok("copy", source, small, "--reencode", "--set", "crf=45")
        self.assertEqual(self.rows(small), self.rows(source))
        self.assertLess(self.json_of("info", small)["bytes"], self.json_of("info", source)["bytes"])
        self.assert_refused(run("copy", source, self.folder / "x", "--reencode", "--set", "nonsense=1"), USAGE, "nonsense")

    def test_reencode_keeps_records(self):
        for name in ("npy-color", "npy-bayer"):
            source = GOLDEN / name
            copy = self.folder / name
            self.ok("copy", source, copy, "--reencode", "--format", "png")
            self.assertEqual(self.lines_of("extra", copy), self.lines_of("extra", source))
            self.assertEqual(self.rows(copy), self.rows(source))
            self.assertEqual(self.json_of("info", copy)["encoding"], self.json_of("info", source)["encoding"])
            self.assertTrue(numpy.array_equal(self.extracted(copy), self.extracted(source)))
            self.assertIn("copied", self.ok("events", copy).out)

    def test_damage(self):
        source = self.save_stack(numbered_stack(9), "a", "--format", "png", "--chunk-frames", 4)
        path = source / "000001" / "000002.png"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        out = self.folder / "out"
        result = run("copy", source, out)
        self.assertEqual(result.code, FAILED)
        for word in ("000002.png", "chunk 1", "frame index 6", "--skip-damaged", "the frames copied so far"):
            self.assertIn(word, result.err)
        self.assertEqual(len(self.rows(self.verified(out))), 4)
        result = run("copy", source, out, "--skip-damaged", "--force", "--json")
        self.assertEqual(result.code, DATA_LOST)
        self.assertEqual(json.loads(result.out)["frames_damaged"], 1)
        self.assertIn("1 frames could not be read", result.err)
        rows = self.rows(source)
        self.assertEqual(self.rows(self.verified(out)), rows[:6] + rows[7:])
        self.ok("copy", source, self.folder / "again", "--skip-damaged", "--reencode", code=DATA_LOST)
        self.assertEqual(self.rows(self.folder / "again"), rows[:6] + rows[7:])

    def end_in_the_midst(self, number):
        """A copy ended by a signal once it has some chunks; its folder."""
        source = self.save_stack(numbered_stack(1), "seed", "--format", "npy", "--chunk-frames", 5)
        many = self.save_stack(numpy.repeat(numbered_stack(1), 1500, axis=0), "many", "--format", "npy", "--chunk-frames", 5)
        shutil.rmtree(source)
        out = self.folder / f"ended{number}"
        process = subprocess.Popen(command("copy", many, out), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not (out / "000003").exists() and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(number)
        error = process.communicate(timeout=60)[1].decode()
        return many, out, process.returncode, error

    def test_interrupted(self):
        many, out, code, error = self.end_in_the_midst(signal.SIGINT)
        self.assertEqual(code, INTERRUPTED, error)
        self.assertIn("the frames copied so far", error)
        count = len(self.rows(self.verified(out)))
        self.assertTrue(10 <= count < 1500, count)
        self.assertTrue(self.json_of("info", out)["closed"])
        self.assertEqual(self.rows(out), self.rows(many)[:count])

    def test_killed(self):
        many, out, code, error = self.end_in_the_midst(signal.SIGKILL)
        self.assertEqual(code, -signal.SIGKILL, error)
        count = len(self.rows(out))
        self.assertTrue(5 <= count < 1500, count)
        self.assertEqual(self.rows(out), self.rows(many)[:count])
        self.ok("repair", out, "--apply")
        self.verified(out)
        self.assertEqual(self.rows(out), self.rows(many)[:count])
        self.assertTrue(numpy.array_equal(self.extracted(out), self.extracted(many, "--index", f"0:{count}")))


class SaveCopy(CopyTestCase):
    def video(self, name="video.mp4", count=COUNT, *options):
        store = self.save_stack(numbered_stack(count, channels=3), "for_video", "--format", "png")
        video = self.folder / name
        self.ok("extract", store, video, "--fps", 25, *options)
        shutil.rmtree(store)
        return video

    def check(self, store, video, first=0, last=None):
        self.assertTrue(numpy.array_equal(self.extracted(store), self.extracted(video)[first:last]))

    def test_video(self):
        video = self.video("video.mp4", COUNT, "--set", f"gop={GOP}", "--set", "bframes=2")
        before = video.read_bytes()
        store = self.folder / "store"
        self.ok("save", video, store, "--copy", "--chunk-frames", 10, "--meta", "x=1")
        self.check(self.verified(store), video)
        info = self.json_of("info", store)
        self.assertEqual((info["format"], info["chunk_frames"], info["user_metadata"]), ("avc1/mp4", 10, {"x": 1}))
        # Chunks begin at key frames: at 16, 32, 48.
        chunks = [row["chunk"] for row in self.lines_of("frames", store)]
        self.assertEqual([chunks.count(chunk) for chunk in sorted(set(chunks))], [16, 16, 16, 2])
        self.assertEqual([row[0] for row in self.rows(store)], list(range(COUNT)))
        # The same numbers and times as without --copy.
        encoded = self.folder / "encoded"
        self.ok("save", video, encoded, "--format", "png")
        self.assertEqual(self.rows(store), self.rows(encoded))
        self.assertEqual(video.read_bytes(), before)

    def test_part(self):
        video = self.video("video.mp4", COUNT, "--set", f"gop={GOP}", "--set", "bframes=2")
        for start, frames in ((3, 20), (GOP, 5), (COUNT - 1, 5)):
            store = self.folder / f"store{start}"
            self.ok("save", video, store, "--copy", "--start", start, "--frames", frames, "--time", "fps:10")
            self.check(self.verified(store), video, start, min(COUNT, start + frames))
            times = [row[1] for row in self.rows(store)]
            for a, b in zip(times, times[1:]):
                self.assertAlmostEqual(b - a, 0.1, places=5)
            (store / "index.sqlite").unlink()
            self.check(store, video, start, min(COUNT, start + frames))

    def test_other_containers(self):
        video = self.video("video.mkv", COUNT, "--set", f"gop={GOP}")
        for place, (options, extension) in enumerate((([], ".mp4"), (["--format", "h264/mkv"], ".mkv"))):
            store = self.folder / f"store{place}"
            self.ok("save", video, store, "--copy", *options)
            self.assertTrue((store / ("000000" + extension)).exists())
            self.check(self.verified(store), video)
        motion = self.video("video.avi")
        self.ok("save", motion, self.folder / "motion", "--copy")
        self.assertEqual(self.json_of("info", self.folder / "motion")["format"], "mjpeg/avi")
        self.check(self.verified(self.folder / "motion"), motion)

    def test_append(self):
        video = self.video("video.mp4", 20)
        store = self.folder / "store"
        self.ok("save", video, store, "--copy")
        self.ok("save", video, store, "--copy", "--append")
        self.assertEqual([row[0] for row in self.rows(self.verified(store))], list(range(40)))
        frames = self.extracted(video)
        self.assertTrue(numpy.array_equal(self.extracted(store), numpy.concatenate([frames, frames])))

    def test_refused(self):
        video = self.video("video.mp4", 12, "--set", f"gop={GOP}")
        store = self.folder / "store"
        for options in (["--filter", "gray"], ["--gray"], ["--deep"], ["--step", 2], ["--set", "crf=3"], ["--realtime"],
                        ["--encoding", "cv_bayerbg"], ["--chunk-seconds", 3], ["--chunk-bytes", "1M"], ["--raw"],
                        ["--time", "now"], ["--overflow", "drop"], ["--commit-interval", 3], ["--buffer-bytes", "1M"]):
            self.assert_refused(run("save", video, store, "--copy", *options), USAGE)
        self.assert_refused(run("save", video, store, "--copy", "--format", "png"), FAILED, "without --copy")
        self.assert_refused(run("save", video, store, "--copy", "--format", "h264/mkv", "--start", 3), FAILED, "mp4")
        self.assertFalse(store.exists())
        other = self.save_stack(numbered_stack(2), "other", "--format", "png")
        self.assert_refused(run("save", other, store, "--copy"), USAGE, "store copy")
        self.assert_refused(run("save", self.folder, store, "--copy"), FAILED)
        numpy.save(self.folder / "stack.npy", numbered_stack(3))
        self.assert_refused(run("save", self.folder / "stack.npy", store, "--copy"), FAILED)
        self.assertFalse(store.exists())

    def test_codec_that_no_format_holds(self):
        path = self.folder / "video.mp4"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25.0, (64, 48))
        for image in numbered_stack(5, channels=3):
            writer.write(image)
        writer.release()
        self.assert_refused(run("save", path, self.folder / "store", "--copy"), FAILED, "mpeg4", "without --copy")
        self.assertFalse((self.folder / "store").exists())

    @unittest.skipUnless(REAL_VIDEO.exists(), "opencv-doc is not installed")
    def test_real_video(self):
        store = self.folder / "store"
        self.assert_refused(run("save", REAL_VIDEO, store, "--copy"), FAILED, "without --copy")
        self.ok("save", REAL_VIDEO, store, "--frames", 120, "--set", "gop=20", "--chunk-frames", 50)
        part = self.folder / "part"
        self.ok("copy", store, part, "--index", "33:97")
        self.assert_same_frames(self.verified(part), store, 33, 97)


if __name__ == "__main__":
    unittest.main()
