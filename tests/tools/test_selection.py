"""--index, --number and --time of `store frames`, `store extra` and `store extract`."""
import csv
import io
import json
import math
import shutil
import unittest

from store_program import GOLDEN, StoreTestCase, numbered_stack, run

LOWEST, HIGHEST = -2 ** 63, 2 ** 63 - 1
NUMBERS = ((None, None), (-3, 4), (None, 5), (7, 7), (1003, 6060), (LOWEST, HIGHEST), (None, LOWEST), (HIGHEST, None))


def text_of(first, last, separator):
    return ("" if first is None else repr(first)) + separator + ("" if last is None else repr(last))


def within(value, first, last):
    return value is not None and (first is None or value >= first) and (last is None or value < last)


class Selections(StoreTestCase):
    """Every way to select against the whole table."""

    def check(self, recording, option, wanted):
        frames = [row for row in self.all_frames if wanted(row["number"], row["time"])]
        self.assertEqual(self.lines_of("frames", recording, option), frames)
        if self.all_records:
            self.assertEqual(self.lines_of("extra", recording, option),
                             [record for record in self.all_records
                              if wanted(record["frame_number"], record["frame_time"])])

    def check_all(self, recording):
        self.all_frames = self.lines_of("frames", recording)
        self.all_records = self.lines_of("extra", recording)
        for first, last in NUMBERS:
            with self.subTest(recording=recording.name, number=(first, last)):
                self.check(recording, "--number=" + text_of(first, last, ":"),
                           lambda number, _: within(number, first, last))
        times = sorted({row["time"] for row in self.all_frames})
        middle = times[len(times) // 2]
        for first, last in ((None, middle), (middle, None), (times[0], times[-1]), (times[-1], times[0]),
                            (middle, math.nextafter(middle, math.inf)), (-5.5, 0.0)):
            with self.subTest(recording=recording.name, time=(first, last)):
                self.check(recording, "--time=" + text_of(first, last, ".."), lambda _, time: within(time, first, last))

    def test_stores_without_an_index(self):
        for name in ("npy-wrap", "npy-equal-times", "npy-color"):
            self.check_all(GOLDEN / name)

    def test_stores_with_an_index(self):
        for name in ("npy-wrap", "npy-negative", "npy-color"):
            store = self.folder / name
            shutil.copytree(GOLDEN / name, store)
            self.ok("index", store)
            self.check_all(store)

    def test_indices(self):
        store = GOLDEN / "npy-color"
        frames = self.lines_of("frames", store)
        records = self.lines_of("extra", store)
        for text, part in ((":", slice(None)), ("3:9", slice(3, 9)), ("-4:", slice(-4, None)), ("::3", slice(0, None, 3)),
                           ("2:16:7", slice(2, 16, 7)), ("5", slice(5, 6)), ("-1", slice(-1, None)), ("9:9", slice(0))):
            with self.subTest(text=text):
                self.assertEqual(self.lines_of("frames", store, "--index", text), frames[part])
                wanted = {row["index"] for row in frames[part]}
                self.assertEqual(self.lines_of("extra", store, "--index", text),
                                 [record for record in records if record["frame_index"] in wanted])

    def test_other_forms(self):
        store = GOLDEN / "npy-color"
        frames = self.lines_of("frames", store, "--number", "1003:1012")
        rows = list(csv.DictReader(io.StringIO(self.ok("frames", store, "--number", "1003:1012", "--csv").out)))
        self.assertEqual([[int(row["index"]), int(row["number"]), float(row["time"])] for row in rows],
                         [[row["index"], row["number"], row["time"]] for row in frames])
        table = self.ok("frames", store, "--number", "1003:1012").out.splitlines()
        self.assertEqual([int(line.split()[0]) for line in table[1:]], [row["index"] for row in frames])
        records = self.lines_of("extra", store, "--number", "1003:1012")
        self.assertGreater(len(records), 2)
        rows = list(csv.DictReader(io.StringIO(self.ok("extra", store, "--number", "1003:1012", "--csv").out)))
        self.assertEqual([[int(row["frame_index"]), float(row["frame_time"])] for row in rows],
                         [[record["frame_index"], record["frame_time"]] for record in records])

    def test_extracted_frames(self):
        store = GOLDEN / "npy-wrap"
        rows = self.lines_of("frames", store)
        out = self.folder / "stack.npy"
        for first, last in ((0, 4), (6000, 7000), (None, None)):
            self.ok("extract", store, out, "--number", text_of(first, last, ":"), "--force")
            with open(f"{out}.frames.csv", newline="", encoding="utf-8") as file:
                self.assertEqual([int(row["index"]) for row in csv.DictReader(file)],
                                 [row["index"] for row in rows if within(row["number"], first, last)])

    def test_plain_files(self):
        store = self.save_stack(numbered_stack(30), "store", "--format", "npy")
        video = self.folder / "clip.mp4"
        self.ok("extract", store, video)
        rows = self.lines_of("frames", video)
        self.assertEqual(self.lines_of("frames", video, "--time", "0.39..0.61"),
                         [row for row in rows if 0.39 <= row["time"] < 0.61])
        self.assertEqual(self.lines_of("frames", video, "--number", "4:6"), rows[4:6])
        for verb in ("frames", "extra"):
            self.assert_refused(run(verb, video, "--time", "2026-11-20.."), 2, "count from its own start")


class Usage(StoreTestCase):
    def test_nothing_selected(self):
        store = GOLDEN / "npy-gray"
        for option, text in (("--number", "500000:600000"), ("--time", "5..6"), ("--index", "5:5"), ("--number", "7:3")):
            with self.subTest(option=option, text=text):
                for verb in ("frames", "extra"):
                    self.assertEqual(self.ok(verb, store, option, text, "--json").out, "")
                    self.assertEqual(len(self.ok(verb, store, option, text, "--csv").out.splitlines()), 1)
                self.assertEqual(run("extract", store, self.folder / "out.npy", option, text).code, 1)
                self.assertFalse((self.folder / "out.npy").exists())

    def test_wrong_usage(self):
        store = GOLDEN / "npy-gray"
        for verb in (("frames",), ("extra",), ("extract", "out.npy")):
            for options in (("--index", "1:2", "--number", "1:2"), ("--number", "1:2:3"), ("--number", ""),
                            ("--time", "noon..2"), ("--time", ""), ("--index", "5000")):
                with self.subTest(verb=verb[0], options=options):
                    self.assert_refused(run(verb[0], store, *verb[1:], *options, cwd=self.folder), 2)

    def test_following_selected_frames_of_a_closed_store(self):
        store = GOLDEN / "npy-negative"
        copy = self.folder / "store"
        shutil.copytree(store, copy)
        self.ok("index", copy)
        rows = self.lines_of("frames", copy)
        self.assertEqual(self.lines_of("frames", copy, "--follow", "--number=-3:2"),
                         [row for row in rows if -3 <= row["number"] < 2])
        self.assertEqual(self.lines_of("frames", copy, "--follow", "--index", "2::3"), rows[2::3])
        middle = rows[4]["time"]
        self.assertEqual(self.lines_of("frames", copy, "--follow", f"--time={middle!r}.."),
                         [row for row in rows if row["time"] >= middle])

    def test_lines_are_json_as_python_writes_it(self):
        """One object a line without blanks, times with every digit they need."""
        for line in self.ok("frames", GOLDEN / "npy-gray", "--json").out.splitlines():
            row = json.loads(line)
            self.assertEqual(list(row), ["index", "number", "time", "chunk", "position"])
            self.assertEqual(line, json.dumps(row, separators=(",", ":")))


if __name__ == "__main__":
    unittest.main()
