"""align, renumber, index, formats, selftest, help, view."""
import csv
import io
import json
import os
import shutil
import subprocess
import unittest

import numpy

from store_program import (DATA_LOST, FIRST_TIME, GOLDEN, StoreTestCase, command, hash_of_tree, numbered_stack,
                           read_number, run)

VERBS = ("save", "info", "frames", "get", "extract", "extra", "stats", "align", "renumber", "index", "formats", "selftest", "events",
         "verify", "repair", "view", "help", "convert", "bench-formats")
CHUNK_FORMATS = ("npy", "png", "jpg", "tif", "bmp", "ppm", "pgm", "bpk", "raw/npy", "zstd/npy", "predicted/rpz", "mjpeg/avi",
                 "avc1/mp4", "h264/mkv", "h264-lossless/mp4", "hevc/mp4", "av1/mkv", "ffv1/mkv")


def golden_like_store(folder, numbers, times, chunk_frames=4, extra=None):
    """A store in imgstore's layout with any numbers and times, without an index.sqlite."""
    folder.mkdir()
    images = numbered_stack(len(numbers), 20, 32)
    for chunk, first in enumerate(range(0, len(numbers), chunk_frames)):
        path = folder / f"{chunk:06d}"
        path.mkdir()
        part = slice(first, first + chunk_frames)
        for position, image in enumerate(images[part]):
            numpy.save(path / f"{position:06d}.npy", image)
        numpy.savez(path / "index.npz", frame_number=numpy.array(numbers[part], numpy.int64),
                    frame_time=numpy.array(times[part], numpy.float64))
        records = [dict(record, frame_index=index, frame_number=numbers[index], frame_time=times[index])
                   for index, record in sorted((extra or {}).items()) if first <= index < first + chunk_frames]
        if records:
            (path / "index.extra.json").write_text(json.dumps(records))
    (folder / "metadata.yaml").write_text(
        "__store: {chunksize: %d, class: DirectoryImgStore, created_utc: '2026-01-02T03:04:05.5', encoding: null,\n"
        "  format: npy, imgdtype: uint8, imgshape: [20, 32], timezone_local: Europe/Vienna, version: 2,\n"
        "  uuid: 0123456789abcdef0123456789abcdef}\nrig: 3\n" % chunk_frames)
    return folder


class Align(StoreTestCase):
    def setUp(self):
        super().setUp()
        self.left = golden_like_store(self.folder / "left", [1, 2, 3, 5, 6, 9], [0.1, 0.2, 0.3, 0.5, 0.6, 0.9])
        self.right = golden_like_store(self.folder / "right", [2, 3, 4, 6, 7], [0.201, 0.299, 0.4, 0.65, 0.7])

    def table(self, *options):
        rows = self.lines_of("align", self.left, self.right, *options)
        return [(row["number"], *[frame and frame["index"] for frame in row["frames"]]) for row in rows]

    def test_by_number(self):
        self.assertEqual(self.table(), [(2, 1, 0), (3, 2, 1), (6, 4, 3)])
        self.assertEqual(self.table("--policy", "black"),
                         [(1, 0, None), (2, 1, 0), (3, 2, 1), (4, None, 2), (5, 3, None), (6, 4, 3), (7, None, 4),
                          (9, 5, None)])
        self.assertEqual(self.table("--policy", "hold"),
                         [(1, 0, None), (2, 1, 0), (3, 2, 1), (4, 2, 2), (5, 3, 2), (6, 4, 3), (7, 4, 4), (9, 5, 4)])

    def test_held_frames_are_marked(self):
        rows = self.lines_of("align", self.left, self.right, "--policy", "hold")
        held = [[frame and frame["held"] for frame in row["frames"]] for row in rows]
        self.assertEqual(held[3:5], [[True, False], [False, True]])

    def test_time_of_a_row(self):
        rows = self.lines_of("align", self.left, self.right, "--policy", "hold")
        self.assertEqual([row["time"] for row in rows], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.9])

    def test_by_time(self):
        self.assertEqual(self.table("--time"), [(2, 1, 0), (3, 2, 1)])
        self.assertEqual(self.table("--time", "--tolerance", 0.06), [(2, 1, 0), (3, 2, 1), (6, 4, 3)])
        self.assertEqual(self.table("--time", "--policy", "black"),
                         [(1, 0, None), (2, 1, 0), (3, 2, 1), (5, 3, None), (6, 4, None), (9, 5, None)])
        self.assertEqual(self.table("--time", "--policy", "hold"),
                         [(1, 0, None), (2, 1, 0), (3, 2, 1), (5, 3, 2), (6, 4, 2), (9, 5, 4)])

    def test_table_as_text(self):
        rows = list(csv.DictReader(io.StringIO(self.ok("align", self.left, self.right, "--policy", "hold").out)))
        self.assertEqual(len(rows), 8)
        self.assertEqual(set(rows[0]), {"number", "time", *[f"{column}_{place}" for place in (1, 2)
                                                            for column in ("index", "number", "time", "held")]})
        self.assertEqual(rows[3]["index_1"], "2")
        self.assertEqual(rows[0]["index_2"], "")

    def test_numbers_out_of_order_and_repeated(self):
        odd = golden_like_store(self.folder / "odd", [6, 3, 3, 2, 100], [0.6, 0.3, 0.31, 0.2, 10])
        rows = self.lines_of("align", self.left, odd)
        found = [(row["number"], row["frames"][0]["index"], row["frames"][1]["index"]) for row in rows]
        self.assertEqual(found, [(2, 1, 3), (3, 2, 1), (6, 4, 0)])

    def test_three_stores_and_an_empty_one(self):
        rows = self.lines_of("align", self.left, self.right, self.left)
        self.assertEqual([row["number"] for row in rows], [2, 3, 6])
        self.assertEqual(self.lines_of("align", self.left, GOLDEN / "npy-empty"), [])
        self.assertEqual(len(self.lines_of("align", self.left, GOLDEN / "npy-empty", "--policy", "hold")), 6)
        self.assertEqual(self.lines_of("align", self.left, GOLDEN / "npy-empty", "--time"), [])


class Renumber(StoreTestCase):
    NUMBERS = [97, 98, 99, 100, 101, 0, 1, 2, 3]
    AFTER = [-5, -4, -3, -2, -1, 0, 1, 2, 3]

    def setUp(self):
        super().setUp()
        self.times = [FIRST_TIME + place * 0.1 for place in range(len(self.NUMBERS))]
        self.extra = {1: {"label": "a"}, 4: {"label": "b"}, 7: {"label": "c"}}
        self.store = golden_like_store(self.folder / "store", self.NUMBERS, self.times, 3, self.extra)

    def check(self, store):
        rows = self.lines_of("frames", store)
        self.assertEqual([row["number"] for row in rows], self.AFTER)
        self.assertEqual([row["time"] for row in rows], self.times)
        info = self.json_of("info", store)
        self.assertEqual((info["frame_number_min"], info["frame_number_max"]), (-5, 3))
        self.assertEqual(self.json_of("get", store, "--number", "-2")["index"], 3)
        self.assertNotEqual(run("get", store, "--number", "99").code, 0)
        records = self.lines_of("extra", store)
        self.assertEqual([(r["label"], r["frame_index"], r["frame_number"]) for r in records],
                         [("a", 1, -4), ("b", 4, -1), ("c", 7, 2)])
        found = []
        for path in sorted(store.glob("*/index.npz")):
            with numpy.load(path) as members:
                found += members["frame_number"].tolist()
                self.assertEqual(members["frame_number"].dtype, numpy.int64)
        self.assertEqual(found, self.AFTER)
        for path in sorted(store.glob("*/index.extra.json")):
            for record in json.loads(path.read_text()):
                self.assertEqual(record["frame_number"], self.AFTER[record["frame_index"]])

    def test_without_index(self):
        self.ok("renumber", self.store)
        self.check(self.store)
        with numpy.load(self.store / "000000" / "index.npz") as members:
            self.assertEqual(members["_frame_number_before_reindex"].tolist(), [97, 98, 99])

    def test_with_index(self):
        self.ok("index", self.store)
        self.ok("renumber", self.store)
        self.check(self.store)
        (self.store / "index.sqlite").unlink()
        self.check(self.store)

    def test_twice(self):
        self.ok("renumber", self.store)
        before = hash_of_tree(self.store)
        self.ok("renumber", self.store)
        self.check(self.store)
        self.assertEqual(hash_of_tree(self.store), before)
        with numpy.load(self.store / "000000" / "index.npz") as members:
            self.assertEqual(members["_frame_number_before_reindex"].tolist(), [97, 98, 99])

    def test_video_store(self):
        source = golden_like_store(self.folder / "source", self.NUMBERS, self.times, 3, self.extra)
        store = self.folder / "video"
        self.ok("save", source, store, "--chunk-frames", 3)
        self.ok("renumber", store)
        self.assertEqual([row["number"] for row in self.lines_of("frames", store)], self.AFTER)
        self.assertEqual([r["frame_number"] for r in self.lines_of("extra", store)], [-4, -1, 2])
        (store / "index.sqlite").unlink()
        self.assertEqual([row["number"] for row in self.lines_of("frames", store)], self.AFTER)
        self.assertEqual([r["frame_number"] for r in self.lines_of("extra", store)], [-4, -1, 2])

    def test_refused_without_exactly_one_zero(self):
        for name, numbers in (("none", [5, 6, 7, 8]), ("two", [0, 1, 0, 1])):
            store = golden_like_store(self.folder / name, numbers, [1.0, 2.0, 3.0, 4.0])
            for indexed in (False, True):
                if indexed:
                    self.ok("index", store)
                before = hash_of_tree(store)
                result = run("renumber", store)
                self.assertIn(result.code, (1, 2))
                self.assertIn("exactly one", result.err)
                self.assertEqual(hash_of_tree(store), before)

    def test_damaged_sidecar_is_not_passed_over(self):
        """A chunk whose numbers cannot be read would shift all others."""
        (self.store / "000000" / "index.npz").write_bytes(b"damaged")
        before = hash_of_tree(self.store)
        result = run("renumber", self.store)
        self.assertEqual(result.code, 1, result.err)
        self.assertEqual(hash_of_tree(self.store), before)

    def test_missing_sidecar_is_not_passed_over(self):
        (self.store / "000001" / "index.npz").unlink()
        before = hash_of_tree(self.store)
        result = run("renumber", self.store)
        if result.code == 0:
            numbers = [row["number"] for row in self.lines_of("frames", self.store)]
            self.assertEqual(numbers, sorted(numbers))
            self.assertEqual([r["label"] for r in self.lines_of("extra", self.store)], ["a", "c"])
        else:
            self.assertEqual(hash_of_tree(self.store), before)


class Index(StoreTestCase):
    def test_stores_of_imgstore(self):
        for name in ("avc1_mp4-color", "h264_mkv-gray", "mjpeg_avi-odd", "npy-wrap", "npy-empty", "npy-bayer"):
            store = self.folder / name
            shutil.copytree(GOLDEN / name, store)
            names = {path.name for path in store.iterdir()}
            before = [self.ok(verb, store, "--json").out for verb in ("frames", "extra")]
            count = self.json_of("info", store)["frame_count"]
            self.ok("index", store)
            self.assertEqual({path.name for path in store.iterdir()}, names | {"index.sqlite"})
            self.assertEqual([self.ok(verb, store, "--json").out for verb in ("frames", "extra")], before)
            if count:
                numpy.testing.assert_array_equal(self.extracted(store), self.extracted(GOLDEN / name))
            shutil.move(store / "index.sqlite", self.folder / "first.sqlite")
            self.ok("index", store)
            self.ok("index", store)
            self.assertEqual([self.ok(verb, store, "--json").out for verb in ("frames", "extra")], before)

    def test_lost_index(self):
        for name in ("avc1/mp4", "h264/mkv", "png"):
            store = self.save_stack(numbered_stack(20), name.replace("/", "_"), "--format", name, "--chunk-frames", 6)
            before = self.ok("frames", store, "--json").out
            (store / "index.sqlite").unlink()
            self.assertEqual(self.ok("frames", store, "--json").out, before)
            self.ok("index", store)
            self.assertEqual(self.ok("frames", store, "--json").out, before)
            self.assertEqual([read_number(image) for image in self.extracted(store)], list(range(20)))
            self.assertIs(self.json_of("info", store)["closed"], True)

    def test_rebuilding_keeps_what_only_the_old_index_knows(self):
        store = self.save_stack(numbered_stack(20), "store", "--format", "npy", "--chunk-frames", 6)
        (store / "000001" / "index.npz").unlink()
        rows = self.ok("frames", store, "--csv").out
        self.ok("index", store)
        self.assertEqual(self.ok("frames", store, "--csv").out, rows)

    def test_rebuilding_tells_what_is_lost(self):
        store = self.save_stack(numbered_stack(20), "store", "--format", "npy", "--chunk-frames", 6)
        (store / "000001" / "index.npz").unlink()
        (store / "index.sqlite").unlink()
        result = self.ok("index", store, code=DATA_LOST)
        self.assertIn("chunk 1", result.err)
        self.assertEqual(self.json_of("info", store)["frame_count"], 14)

    def test_stray_files_and_folders_are_tolerated(self):
        store = self.folder / "store"
        shutil.copytree(GOLDEN / "avc1_mp4-gray", store)
        (store / "notes.mp4").write_text("x")
        (store / "folder").mkdir()
        (store / "0000003.mp4").write_text("x")
        (store / "readme.npz").write_text("x")
        self.assertEqual(self.json_of("info", store)["frame_count"], 23)
        self.ok("index", store)
        self.assertEqual(self.json_of("info", store)["frame_count"], 23)

    def test_first_chunk_removed(self):
        store = self.folder / "store"
        shutil.copytree(GOLDEN / "npy-gray", store)
        shutil.rmtree(store / "000000")
        info = self.json_of("info", store)
        self.assertEqual((info["frame_count"], info["chunks"], info["frame_number_min"]), (13, [1, 2], 10))
        facts = self.json_of("get", store, "--number", 10)
        self.assertEqual(facts["index"], 0)


class Facts(StoreTestCase):
    def test_formats(self):
        facts = json.loads(self.ok("formats", "--json").out)
        by_name = {entry["name"]: entry for entry in facts["chunk_formats"]}
        for name in CHUNK_FORMATS:
            entry = by_name[name]
            for key in ("name", "read", "write", "lossless", "types"):
                self.assertIn(key, entry)
            self.assertIs(entry["read"], True)
            self.assertIs(entry["write"], True)
            self.assertTrue(entry["types"])
        self.assertEqual({name for name in CHUNK_FORMATS if not by_name[name]["lossless"]},
                         {"jpg", "mjpeg/avi", "avc1/mp4", "h264/mkv", "hevc/mp4", "av1/mkv"})
        for part in ("file_formats", "cameras", "filters"):
            self.assertIn(part, facts)
            for entry in facts[part]:
                self.assertTrue(entry["name"])
        text = self.ok("formats", "--options").out
        for word in (*CHUNK_FORMATS, "crf", "gop", "preset"):
            self.assertIn(word, text)

    def test_selftest(self):
        rows = self.lines_of("selftest", "--frames", 30)
        self.assertEqual({row["format"] for row in rows} - {name + "+color" for name in CHUNK_FORMATS},
                         set(CHUNK_FORMATS))
        for row in rows:
            self.assertEqual(row["wrong"], 0, row)
            self.assertGreaterEqual(row["accesses"], 30 * 4)

    def test_help(self):
        for verb in VERBS:
            text = self.ok("help", verb).out
            self.assertIn("Examples:", text)
            self.assertIn(f"store {verb}", text)
        self.assertEqual(self.ok(VERBS[0], "--help").out, self.ok("help", VERBS[0]).out)
        overview = self.ok("help").out
        for verb in VERBS:
            self.assertIn(verb, overview)

    def test_unknown_verb_and_version(self):
        self.assert_refused(run("nonsense"), 2, "nonsense")
        self.assertRegex(self.ok("--version").out, r"\d+\.\d+")

    def test_text_of_info_and_frames(self):
        self.assertIn("1577836800.0403", self.ok("frames", GOLDEN / "npy-gray").out)
        text = self.ok("info", GOLDEN / "npy-gray").out
        for word in ("npy", "23", "genotype", "Europe/Vienna", "2020-01-01"):
            self.assertIn(word, text)
        self.ok("info", GOLDEN / "npy-empty")


class View(StoreTestCase):
    def environment(self, **more):
        kept = {key: value for key, value in os.environ.items()
                if key not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")}
        return dict(kept, **more)

    def store_of_30(self, **options):
        return self.save_stack(numbered_stack(30, **options), "store", "--format", "npy")

    def test_without_display(self):
        result = run("view", GOLDEN / "npy-gray", env=self.environment(), timeout=20)
        self.assert_refused(result, 1, "display")

    def test_display_that_does_not_answer(self):
        result = run("view", GOLDEN / "npy-gray", env=self.environment(DISPLAY=":987"), timeout=20)
        self.assertEqual(result.code, 1, result.err)
        self.assertIn("display", result.err)

    def test_platform_that_does_not_exist(self):
        result = run("view", GOLDEN / "npy-gray", env=self.environment(QT_QPA_PLATFORM="nonsense"), timeout=20)
        self.assertEqual(result.code, 1, result.err)

    @unittest.skipUnless(shutil.which("xvfb-run"), "xvfb-run is not installed")
    def test_under_a_virtual_display(self):
        store = self.store_of_30()
        done = subprocess.run(["xvfb-run", "-a", *command("view", store, "--fps", 0)], env=self.environment(),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr.decode())

    def test_offscreen(self):
        for options in ({}, {"channels": 3}, {"dtype": numpy.uint16}, {"dtype": numpy.float32}):
            store = self.store_of_30(**options)
            result = run("view", store, "--fps", 0, env=self.environment(QT_QPA_PLATFORM="offscreen"), timeout=60)
            self.assertEqual(result.code, 0, result.err)
            shutil.rmtree(store)

    def test_damaged_frame(self):
        store = self.store_of_30()
        (store / "000000" / "000004.npy").unlink()
        result = run("view", store, "--fps", 0, env=self.environment(QT_QPA_PLATFORM="offscreen"), timeout=60)
        self.assertEqual(result.code, 3, result.err)
        self.assertIn("000004.npy", result.err)

    def test_empty_store(self):
        result = run("view", GOLDEN / "npy-empty", env=self.environment(QT_QPA_PLATFORM="offscreen"), timeout=20)
        self.assertEqual(result.code, 0, result.err)


if __name__ == "__main__":
    unittest.main()
