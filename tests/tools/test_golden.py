"""Every store that imgstore wrote says exactly what its .expect.json says."""
import csv
import io
import json
import unittest

import numpy

from store_program import FIRST_TIME, GOLDEN, StoreTestCase, hash_of_pixels, hash_of_tree, read_number, run

STORES = sorted(path.name[:-len(".expect.json")] for path in GOLDEN.glob("*.expect.json"))


class GoldenStores(StoreTestCase):
    @classmethod
    def setUpClass(cls):
        cls.hash_before = hash_of_tree(GOLDEN)

    @classmethod
    def tearDownClass(cls):
        if hash_of_tree(GOLDEN) != cls.hash_before:
            raise AssertionError("reading changed the golden stores")

    def test_there_are_26_stores(self):
        self.assertEqual(len(STORES), 26)

    def check_info(self, store, expect):
        info = self.json_of("info", store)
        self.assertEqual(info["frame_count"], expect["frame_count"])
        self.assertEqual(info["chunks"], expect["chunks"])
        self.assertEqual(info["frame_number_min"], expect["frame_min"])
        self.assertEqual(info["frame_number_max"], expect["frame_max"])
        times = expect["frame_times"]
        self.assertEqual(info["frame_time_min"], min(times, default=None))
        self.assertEqual(info["frame_time_max"], max(times, default=None))
        self.assertEqual(info["image_shape"], expect["image_shape"])
        self.assertEqual(info["format"], expect["format"])
        self.assertEqual(info["chunk_frames"], expect["chunksize"])
        self.assertEqual(info["lossless"], expect["lossless"])
        self.assertEqual(info["uuid"], expect["uuid"])
        self.assertEqual(info["user_metadata"], expect["user_metadata"])
        self.assertEqual(info["has_extra_data"], bool(expect.get("extra_data")))
        self.assertIs(info["closed"], True)
        self.assertGreaterEqual(info["bytes"], 0)
        for key in ("class", "dtype", "encoding", "created_utc", "timezone"):
            self.assertIn(key, info)
        return info

    def check_frames(self, store, expect):
        numbers, times = expect["frame_numbers"], expect["frame_times"]
        expected = []
        chunk_size = expect["chunksize"]
        for index, (number, time) in enumerate(zip(numbers, times)):
            expected.append({"index": index, "number": number, "time": time,
                             "chunk": expect["chunks"][index // chunk_size], "position": index % chunk_size})
        self.assertEqual(self.lines_of("frames", store), expected)
        rows = list(csv.DictReader(io.StringIO(self.ok("frames", store, "--csv").out)))
        read = [{key: float(value) if key == "time" else int(value) for key, value in row.items()} for row in rows]
        self.assertEqual(read, expected)

    def check_extra(self, store, expect):
        expected = expect.get("extra_data", [])
        self.assertEqual(self.lines_of("extra", store), expected)
        if not expected and store.name != "npy-gray":
            return
        rows = list(csv.DictReader(io.StringIO(self.ok("extra", store, "--csv").out)))
        self.assertEqual(len(rows), len(expected))
        for row, record in zip(rows, expected):
            self.assertEqual(row.keys(), record.keys())
            for key, value in record.items():
                self.assertEqual(row[key] if isinstance(value, str) else json.loads(row[key]), value)

    def check_frame(self, store, expect, index, *which):
        hashes = expect.get("sha256_16_of_pixels")
        out = None
        if hashes:
            result = self.json_of("get", store, *which)
        else:
            out = self.folder / ("frame" + "_".join(map(str, which)) + ".npy")
            result = self.json_of("get", store, *which, "-o", out)
        self.assertEqual(result["index"], index, which)
        self.assertEqual(result["number"], expect["frame_numbers"][index], which)
        self.assertEqual(result["time"], expect["frame_times"][index], which)
        self.assertEqual(result["shape"], expect["image_shape"])
        if hashes:
            self.assertEqual(result["sha256"][:16], hashes[index], which)
        else:
            image = numpy.load(out)
            self.assertEqual(list(image.shape), expect["image_shape"])
            self.assertEqual(read_number(image), index, which)

    def check_store(self, name):
        expect = json.loads((GOLDEN / f"{name}.expect.json").read_text())
        store = GOLDEN / name
        self.check_info(store, expect)
        self.check_frames(store, expect)
        self.check_extra(store, expect)
        count = expect["frame_count"]
        if not count:
            self.assertEqual(run("get", store, "--index", 0, "--json").code, 1)
            return
        self.check_all_pixels(store, expect)
        numbers, times = expect["frame_numbers"], expect["frame_times"]
        last_of_chunk = min(expect["chunksize"], count) - 1
        self.check_frame(store, expect, last_of_chunk, "--index", last_of_chunk - count)
        middle = count // 2
        self.check_frame(store, expect, numbers.index(numbers[middle]), "--number", numbers[middle])
        middle = times.index(times[middle + 1])
        self.check_frame(store, expect, middle, "--time", repr(times[middle]), "--match", "exact")

    def check_all_pixels(self, store, expect):
        frames = self.extracted(store)
        self.assertEqual(len(frames), expect["frame_count"])
        self.assertEqual(list(frames.shape[1:]), expect["image_shape"])
        for index, frame in enumerate(frames):
            if "sha256_16_of_pixels" in expect:
                self.assertEqual(hash_of_pixels(frame)[:16], expect["sha256_16_of_pixels"][index])
            if store.name != "npy-bayer":
                self.assertEqual(read_number(frame), index)

    def test_no_such_frame(self):
        store = GOLDEN / "npy-gray"
        for which, code in ((("--index", 23), 1), (("--index", -24), 1), (("--number", 999999), 1),
                            (("--time", "12.5", "--match", "exact"), 1)):
            result = run("get", store, *which, "--json")
            self.assertEqual(result.code, code, which)
            self.assertEqual(result.out, "")
            self.assertIn("no frame", result.err)

    def test_nearest_time(self):
        facts = self.json_of("get", GOLDEN / "npy-gray", "--time", repr(FIRST_TIME - 5))
        self.assertEqual(facts["index"], 0)
        facts = self.json_of("get", GOLDEN / "npy-gray", "--time", "2020-01-01T00:00:00.09Z")
        self.assertEqual(facts["index"], 2)
        facts = self.json_of("get", GOLDEN / "npy-equal-times", "--time", repr(FIRST_TIME))
        self.assertEqual(facts["index"], 0)

    def test_metadata_file_in_place_of_the_folder(self):
        self.assertEqual(self.json_of("info", GOLDEN / "npy-gray" / "metadata.yaml")["frame_count"], 23)

    def test_match_words(self):
        store = GOLDEN / "npy-wrap"  # numbers 6050 6055 6056 0 1 2
        expected = {("6052", "nearest"): 0, ("6053", "nearest"): 1, ("6052", "previous"): 0, ("6052", "next"): 1,
                    ("6056", "exact"): 2, ("100", "previous"): 5, ("100", "next"): 0, ("-7", "next"): 3,
                    ("9999", "previous"): 2, ("1", "nearest"): 4}
        for (number, match), index in expected.items():
            facts = self.json_of("get", store, "--number", number, "--match", match)
            self.assertEqual(facts["index"], index, (number, match))
        for number, match in (("6052", "exact"), ("9999", "next"), ("-1", "previous")):
            result = run("get", store, "--number", number, "--match", match)
            self.assertEqual(result.code, 1, (number, match))
            self.assertEqual(result.out, "")

    def test_ranges_of_frames(self):
        store = GOLDEN / "npy-gray"
        for text, expected in {"-3:": [20, 21, 22], "2:9:3": [2, 5, 8], ":2": [0, 1], "-1:": [22], "5:5": [],
                               "20:99": [20, 21, 22], "::10": [0, 10, 20], "-2:-1": [21]}.items():
            rows = self.lines_of("frames", store, f"--index={text}")
            self.assertEqual([row["index"] for row in rows], expected, text)
        self.assertEqual(self.lines_of("frames", store, "--index", "-2:")[0]["index"], 21)


def add_test(name):
    def test(self):
        self.check_store(name)
    setattr(GoldenStores, "test_" + name.replace("-", "_"), test)


for store_name in STORES:
    add_test(store_name)

if __name__ == "__main__":
    unittest.main()
