"""Bad input gets a clear error and loses nothing."""
import io
import json
import os
import pathlib
import pickle
import shutil
import signal
import sqlite3
import struct
import subprocess
import time
import unittest
import zipfile
import zlib

import numpy
import yaml

from store_program import (GOLDEN, REAL_VIDEO, StoreTestCase, command, decode_video, hash_of_tree, numbered_image,
                           numbered_stack, read_number, run)

READING_VERBS = (("info", "--json"), ("frames", "--json"), ("get", "--index", "0"), ("extra", "--json"))


class NotAStore(StoreTestCase):
    def test_paths_that_are_no_store(self):
        (self.folder / "empty").mkdir()
        (self.folder / "file.txt").write_text("hello")
        for path in ("missing", "empty", "file.txt"):
            for verb, *options in (*READING_VERBS, ("index",), ("renumber",), ("view",), ("extract", "out.npy")):
                before = hash_of_tree(self.folder)
                result = run(verb, self.folder / path, *options, cwd=self.folder)
                self.assert_refused(result, 1, path)
                self.assertEqual(hash_of_tree(self.folder), before, verb)


class Metadata(StoreTestCase):
    def setUp(self):
        super().setUp()
        self.store = self.folder / "store"
        shutil.copytree(GOLDEN / "npy-gray", self.store)
        self.path = self.store / "metadata.yaml"
        self.document = yaml.safe_load(self.path.read_text())

    def check_refused(self, *words, verbs=(("info", "--json"),)):
        before = hash_of_tree(self.store)
        for verb, *options in verbs:
            result = run(verb, self.store, *options)
            self.assert_refused(result, 1, "metadata.yaml", *words)
            self.assertEqual(hash_of_tree(self.store), before)

    def change(self, **keys):
        store = dict(self.document["__store"])
        for key, value in keys.items():
            if value is None:
                del store[key]
            else:
                store[key] = value
        self.path.write_text(yaml.safe_dump(dict(self.document, __store=store)))

    def test_no_yaml(self):
        for text in (b"{[}", b"\x00\x01\x02", b"\xff\xfe\xfa", b"a: b: c: d", b"\t- x", b"[" * 100000,
                     b"__store: &a [*a]", b"\x7fELF" + bytes(200)):
            self.path.write_bytes(text)
            self.check_refused()

    def test_many_aliases(self):
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
        self.path.write_text("\n".join(lines) + "\n")
        self.check_refused()

    def test_no_store_key(self):
        for text in ("", "a: 1\n", "[1, 2]\n", "text", "__store:\n", "__store: 3\n", "__store: [a]\n"):
            self.path.write_text(text)
            self.check_refused("__store")

    def test_wrong_values_of_keys(self):
        wrong_values = {
            "version": (3, 1, "two", 2.5, None, -2, 10 ** 30), "class": ("NoSuchStore", 5, None),
            "format": ("gif87", "../npy", 7, None, "avc1/mp4"), "encoding": ("cv_nonsense", 9),
            "imgdtype": ("complex64", "uint128", "U5", None, 8), "chunksize": (0, -1, "many", None),
            "imgshape": ([48], [48, 64, 3, 3], [-1, 64], [10 ** 12, 64], [2 ** 31, 2 ** 31], [48, 64, 100000],
                         "48x64", [48.5, 64], [100000, 100000, 500], None),
            "created_utc": ("yesterday", [1]), "uuid": ([1], )}
        for key, values in wrong_values.items():
            for value in values:
                with self.subTest(key=key, value=value):
                    self.change(**{key: value})
                    self.check_refused(key)

    def test_every_verb_refuses(self):
        self.change(version=3)
        self.check_refused("version", verbs=(*READING_VERBS, ("index",), ("renumber",),
                                             ("extract", self.folder / "out.npy"), ("view",)))
        self.assertFalse((self.folder / "out.npy").exists())

    def test_extension_that_leads_elsewhere(self):
        store = self.folder / "video"
        shutil.copytree(GOLDEN / "avc1_mp4-gray", store)
        document = yaml.safe_load((store / "metadata.yaml").read_text())
        for extension in ("/../../etc/passwd", "", ".npz", "mp4", ".exe"):
            document["__store"]["extension"] = extension
            (store / "metadata.yaml").write_text(yaml.safe_dump(document))
            self.assert_refused(run("info", store), 1, "extension")

    def test_dimensions_that_the_files_do_not_have(self):
        self.change(imgshape=[480, 640])
        self.assert_refused(run("get", self.store, "--index", 0), 1, "000000.npy", "48", "64")
        self.change(imgdtype="uint16")
        self.assert_refused(run("get", self.store, "--index", 0), 1, "000000.npy", "uint16")

    def test_metadata_that_is_no_plain_file(self):
        self.path.unlink()
        self.path.mkdir()
        self.assert_refused(run("info", self.store), 1, self.store)
        self.path.rmdir()
        os.mkfifo(self.path)
        self.assert_refused(run("info", self.store, timeout=20), 1, self.store)


def npy_bytes(array=None, header=None, data=b""):
    if array is not None:
        buffer = io.BytesIO()
        numpy.save(buffer, array)
        return buffer.getvalue()
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


class Sidecars(StoreTestCase):
    """Chunk 1 of three is damaged; the others stay readable and the damage is told."""

    def setUp(self):
        super().setUp()
        self.store = self.folder / "store"
        shutil.copytree(GOLDEN / "npy-gray", self.store)  # chunks of 10, 10, 3
        self.path = self.store / "000001" / "index.npz"
        self.marker = self.folder / "marker"

    def write_npz(self, **members):
        with zipfile.ZipFile(self.path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name + ".npy", data)

    def check_left_out(self, *words):
        result = run("info", self.store, "--json", timeout=20)
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(json.loads(result.out)["frame_count"], 13)
        for word in ("index.npz", *words):
            self.assertIn(word, result.err)
        self.assertFalse(self.marker.exists(), "a pickle was executed")

    def test_truncated(self):
        data = self.path.read_bytes()
        for size in (0, 1, 30, 100, len(data) // 2, len(data) - 1, len(data) - 22):
            self.path.write_bytes(data[:size])
            self.check_left_out("chunk 1")

    def test_garbage(self):
        for data in (b"\0" * 1000, b"PK\x03\x04" + b"\xff" * 500, b"PK\x05\x06" + b"\xff" * 18):
            self.path.write_bytes(data)
            self.check_left_out()

    def test_shapes(self):
        times = npy_bytes(numpy.arange(10.0))
        for shape in ("(1099511627776,)", "(9223372036854775807,)", "(-1,)", "(99999999999999999999999,)", "(10, 10)",
                      "(4294967296, 4294967296, 4294967296)", "(9,)"):
            header = "{'descr': '<i8', 'fortran_order': False, 'shape': %s, }" % shape
            self.write_npz(frame_number=npy_bytes(header=header, data=bytes(80)), frame_time=times)
            self.check_left_out()

    def test_wrong_types_and_members(self):
        numbers, times = npy_bytes(numpy.arange(10)), npy_bytes(numpy.arange(10.0))
        for members in ({"frame_number": numbers}, {"frame_time": times}, {},
                        {"frame_number": npy_bytes(numpy.array(["a"] * 10)), "frame_time": times},
                        {"frame_number": npy_bytes(numpy.arange(10) + 0.5), "frame_time": times},
                        {"frame_number": npy_bytes(numpy.full(10, 1e300)), "frame_time": times},
                        {"frame_number": npy_bytes(numpy.full(10, numpy.nan)), "frame_time": times},
                        {"frame_number": b"no array", "frame_time": times}):
            self.write_npz(**members)
            self.check_left_out()

    def test_pickles_are_never_loaded(self):
        class Bomb:
            def __reduce__(bomb):
                return (pathlib.Path.touch, (self.marker,))

        header = "{'descr': '|O', 'fortran_order': False, 'shape': (10,), }"
        pickled = npy_bytes(header=header, data=pickle.dumps(Bomb()))
        self.write_npz(frame_number=pickled, frame_time=npy_bytes(numpy.arange(10.0)))
        self.check_left_out()
        self.write_npz(frame_number=npy_bytes(numpy.arange(10)), frame_time=npy_bytes(numpy.arange(10.0)),
                       encoding=pickled)
        self.assertEqual(self.json_of("info", self.store)["frame_count"], 23)
        self.assertFalse(self.marker.exists())

    def test_member_that_inflates_without_end(self):
        header = npy_bytes(header="{'descr': '<i8', 'fortran_order': False, 'shape': (20000000,), }")
        with zipfile.ZipFile(self.path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("frame_number.npy", header + bytes(20000000))
            archive.writestr("frame_time.npy", npy_bytes(numpy.arange(10.0)))
        self.check_left_out()


class Videos(StoreTestCase):
    def setUp(self):
        super().setUp()
        self.store = self.folder / "store"
        shutil.copytree(GOLDEN / "avc1_mp4-gray", self.store)  # chunks of 10, 10, 3

    def swap_sidecar(self, chunk, count):
        members = {"frame_number": numpy.arange(count) + 10 * chunk, "frame_time": numpy.arange(count) + 1000.0 * chunk}
        numpy.savez(self.store / f"{chunk:06d}.npz", **members)

    def test_video_shorter_than_its_index(self):
        self.swap_sidecar(1, 14)
        self.assertEqual(self.json_of("info", self.store)["frame_count"], 27)
        frames = self.extracted(self.store, code=3)
        self.assertEqual([read_number(image) for image in frames], list(range(23)))
        self.assert_refused(run("get", self.store, "--index", 21), 1, "000001.mp4", "chunk 1", "frame index 21")
        self.ok("index", self.store)
        self.assertEqual(len(self.extracted(self.store, code=3)), 23)
        self.assert_refused(run("get", self.store, "--index", 21), 1, "chunk 1", "frame index 21")

    def test_video_longer_than_its_index(self):
        self.swap_sidecar(1, 6)
        frames = self.extracted(self.store)
        self.assertEqual([read_number(image) for image in frames], [*range(16), 20, 21, 22])
        self.ok("index", self.store)
        self.assertEqual([read_number(image) for image in self.extracted(self.store)], [*range(16), 20, 21, 22])

    def test_playlists_and_scripts_open_no_other_file(self):
        other = self.folder / "other.mp4"
        shutil.copy(self.store / "000000.mp4", other)
        pipe = self.folder / "pipe.ts"
        os.mkfifo(pipe)
        for target in (other, pipe):
            for text in (f"ffconcat version 1.0\nfile '{target}'\n",
                         f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
                         f"#EXTM3U\n#EXTINF:1,\nfile://{target}\n", f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns={target}\n",
                         f"<MPD><Period><BaseURL>{target}</BaseURL></Period></MPD>", f"concat:{target}|{target}"):
                (self.store / "000000.mp4").write_text(text)
                result = run("get", self.store, "--index", 3, timeout=20)
                self.assert_refused(result, 1, "000000.mp4")
                for name in ("source.mp4", "source.m3u8", "source.txt"):
                    source = self.folder / name
                    source.write_text(text)
                    result = run("save", source, self.folder / "new", timeout=20)
                    self.assert_refused(result, 1, name)
                    self.assertFalse((self.folder / "new").exists())

    def test_chunk_that_is_another_kind_of_file(self):
        other = (GOLDEN / "mjpeg_avi-gray" / "000000.avi").read_bytes()[:400]
        for data in (b"", b"\0" * 5000, os.urandom(5000), other):
            (self.store / "000000.mp4").write_bytes(data)
            self.assert_refused(run("get", self.store, "--index", 3, timeout=20), 1, "000000.mp4", "frame index 3")
            self.assertEqual(self.json_of("get", self.store, "--index", 12)["number"], 12)

    def test_chunk_with_another_size_of_image(self):
        other = self.save_stack(numbered_stack(10, 96, 128), "other")
        shutil.copy(other / "000000.mp4", self.store / "000000.mp4")
        self.assert_refused(run("get", self.store, "--index", 3), 1, "000000.mp4", "128")

    def test_chunk_that_leads_elsewhere(self):
        (self.store / "000000.mp4").unlink()
        (self.store / "000000.mp4").mkdir()
        self.assert_refused(run("get", self.store, "--index", 3), 1, "000000.mp4")
        (self.store / "000000.mp4").rmdir()
        os.mkfifo(self.store / "000000.mp4")
        self.assert_refused(run("get", self.store, "--index", 3, timeout=20), 1, "000000.mp4")


def png_header(width, height):
    def part(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return (b"\x89PNG\r\n\x1a\n" + part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + part(b"IDAT", zlib.compress(bytes(1000))) + part(b"IEND", b""))


class Images(StoreTestCase):
    def setUp(self):
        super().setUp()
        self.store = self.folder / "store"
        shutil.copytree(GOLDEN / "png-gray", self.store)

    def test_headers_that_claim_other_sizes(self):
        path = self.store / "000000" / "000002.png"
        for width, height in ((60000, 60000), (65, 48), (2 ** 31 - 1, 2 ** 31 - 1), (0, 0)):
            path.write_bytes(png_header(width, height))
            start = time.monotonic()
            self.assert_refused(run("get", self.store, "--index", 2, timeout=20), 1, "000002.png", "frame index 2")
            self.assertLess(time.monotonic() - start, 5)
        self.assertEqual(self.json_of("get", self.store, "--index", 3)["number"], 3)

    def test_other_kinds_of_image_in_the_file(self):
        path = self.store / "000000" / "000002.png"
        for data in (b"", b"hello", b"P5\n60000 60000\n255\n", os.urandom(3000), npy_bytes(numbered_image(2))):
            path.write_bytes(data)
            self.assert_refused(run("get", self.store, "--index", 2), 1, "000002.png")

    def test_source_with_an_absurd_header(self):
        source = self.folder / "source.png"
        source.write_bytes(png_header(2 ** 31 - 1, 2 ** 31 - 1))
        self.assert_refused(run("save", source, self.folder / "new", timeout=20), 1, "source.png")
        header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776, 48, 64), }"
        source = self.folder / "source.npy"
        source.write_bytes(npy_bytes(header=header, data=bytes(1000)))
        self.assert_refused(run("save", source, self.folder / "new", timeout=20), 1, "source.npy")
        header = "{'descr': '|O', 'fortran_order': False, 'shape': (3, 4, 5), }"
        pickled = npy_bytes(header=header, data=pickle.dumps(1))
        source.write_bytes(pickled)
        self.assert_refused(run("save", source, self.folder / "new", timeout=20), 1, "source.npy")
        self.assertFalse((self.folder / "new").exists())


class Index(StoreTestCase):
    def setUp(self):
        super().setUp()
        self.store = self.save_stack(numbered_stack(12), "store", "--chunk-frames", 5)
        self.path = self.store / "index.sqlite"

    def change(self, *statements):
        database = sqlite3.connect(self.path)
        for statement in statements:
            database.execute(statement)
        database.commit()
        database.close()

    def check_read_from_chunks(self):
        info = run("info", self.store, "--json")
        self.assertEqual(info.code, 0, info.err)
        self.assertEqual(json.loads(info.out)["frame_count"], 12)
        self.assertIn("index.sqlite", info.err)
        self.assertEqual([read_number(image) for image in self.extracted(self.store)], list(range(12)))
        self.ok("index", self.store)
        result = run("info", self.store, "--json")
        self.assertEqual(json.loads(result.out)["warnings"], [])

    def test_garbage(self):
        cut = self.path.read_bytes()[:5000]
        for data in (b"\0" * 4096, b"no database", cut, b"SQLite format 3\0" + b"\xff" * 9000):
            self.path.write_bytes(data)
            self.check_read_from_chunks()

    def test_empty_file(self):
        self.path.write_bytes(b"")
        self.check_read_from_chunks()

    def test_index_of_another_store(self):
        self.change("UPDATE store SET value = '0123456789abcdef0123456789abcdef' WHERE key = 'uuid'")
        self.check_read_from_chunks()

    def test_later_version(self):
        self.change("PRAGMA user_version = 9")
        self.check_read_from_chunks()

    def test_contradictions(self):
        for statements in (["UPDATE chunks SET frame_count = 1000000 WHERE chunk = 1"], ["DROP TABLE frames"],
                           ["UPDATE chunks SET first_index = 3 WHERE chunk = 1"],
                           ["UPDATE chunks SET chunk = -5 WHERE chunk = 1"]):
            good = self.path.read_bytes()
            with self.subTest(statements=statements):
                self.change(*statements)
                self.check_read_from_chunks()
            self.path.write_bytes(good)

    def test_damaged_stream_parameters(self):
        self.change("UPDATE chunks SET stream = '{'")
        result = run("get", self.store, "--index", 7, "-o", self.folder / "frame.npy")
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("damaged stream parameters", result.err)
        self.assertEqual(read_number(numpy.load(self.folder / "frame.npy")), 7)

    def test_chunks_named_by_paths_are_never_followed(self):
        for name in ("'../../other/000000'", "'/etc/passwd'", "x'2e2e2f'"):
            self.change("CREATE TABLE IF NOT EXISTS chunk_copy AS SELECT * FROM chunks", "DROP TABLE chunks",
                        "CREATE TABLE chunks AS SELECT * FROM chunk_copy", f"UPDATE chunks SET chunk = {name}")
            result = run("get", self.store, "--index", 3)
            self.assertNotIn("passwd", result.err)
            self.assertIn(result.code, (0, 1))

    def test_offsets_outside_of_the_file(self):
        for statement in ("UPDATE frames SET byte_offset = 9223372036854775800",
                          "UPDATE frames SET byte_size = 2000000000",
                          "UPDATE frames SET byte_offset = 0, byte_size = 0", "UPDATE frames SET byte_offset = 100000",
                          "UPDATE frames SET decode_position = 4000000", "UPDATE frames SET packet_flags = 0"):
            good = self.path.read_bytes()
            with self.subTest(statement=statement):
                self.change(statement)
                result = run("get", self.store, "--index", 7, "-o", self.folder / "frame.npy", "--force", timeout=20)
                self.assertIn(result.code, (0, 1), result.err)
                if result.code == 0:
                    self.assertEqual(read_number(numpy.load(self.folder / "frame.npy")), 7)
            self.path.write_bytes(good)

    def test_rows_that_are_missing(self):
        self.change("DELETE FROM frames WHERE frame_index = 6")
        result = run("get", self.store, "--index", 6)
        self.assertIn(result.code, (0, 1))
        result = run("frames", self.store, "--json")
        if len(result.out.splitlines()) < 12:
            self.assertNotEqual(result.code, 0, "a missing frame is not told")

    def test_link_to_another_place(self):
        other = self.folder / "other.sqlite"
        shutil.move(self.path, other)
        before = other.read_bytes()
        self.path.symlink_to(other)
        self.ok("index", self.store)
        self.assertEqual(other.read_bytes(), before)


class WrongUsage(StoreTestCase):
    def setUp(self):
        super().setUp()
        self.source = self.folder / "source.npy"
        numpy.save(self.source, numbered_stack(5))
        self.new = self.folder / "new"
        self.store = GOLDEN / "npy-gray"

    def test_options(self):
        out = self.folder / "out.npy"
        for arguments in (
                (), ("info",), ("info", self.store, "--nonsense"), ("info", self.store, self.store),
                ("get", self.store),
                ("get", self.store, "--index", "1", "--number", "2"), ("get", self.store, "--index", "one"),
                ("get", self.store, "--index", "1.5"), ("get", self.store, "--index", "99999999999999999999"),
                ("get", self.store, "--number", ""), ("get", self.store, "--time", "noon"),
                ("get", self.store, "--time", "nan"), ("get", self.store, "--time", "inf"),
                ("get", self.store, "--number", "1", "--match", "closest"),
                ("get", self.store, "--index", "0", "-o", "-", "--json"),
                ("frames", self.store, "--json", "--csv"), ("frames", self.store, "--index", "1:2:3:4"),
                ("frames", self.store, "--index", "a:b"), ("frames", self.store, "--index", "0:5:0"),
                ("frames", self.store, "--index", "0:5:-1"), ("frames", self.store, "--index", "77"),
                ("extract", self.store), ("extract", self.store, out, "--index", "1:2", "--number", "1:2"),
                ("extract", self.store, out, "--time", "1"), ("extract", self.store, out, "--fps", "-3"),
                ("extract", self.store, self.folder / "x{}{}.png"),
                ("extract", self.store, out, "--filter", "nonsense"),
                ("extract", self.store, self.folder / "clip.mp4", "--set", "nonsense=1"),
                ("align", self.store), ("align", self.store, self.store, "--policy", "guess"),
                ("align", self.store, self.store, "--tolerance", "1"), ("selftest", "--frames", "0"),
                ("view", self.store, "--fps", "-1"), ("help", "nonsense"), ("nonsense",), ("save",)):
            result = run(*arguments)
            with self.subTest(arguments=arguments):
                self.assertEqual(result.code, 2, result.err)
                if arguments:
                    self.assertEqual(result.out, "")
                    self.assertTrue(result.err)
            self.assertEqual([path.name for path in self.folder.iterdir()], ["source.npy"])

    def test_options_of_save(self):
        for options in (("--format", "nonsense"), ("--time", "tomorrow"), ("--time", "fps:0"), ("--time", "fps:-1"),
                        ("--time", "fps:x"), ("--time", "fps:nan"), ("--time", "fps:inf"), ("--time", "fps:"),
                        ("--chunk-frames", "0"), ("--chunk-frames", "x"), ("--chunk-seconds", "-1"),
                        ("--chunk-bytes", "0"), ("--chunk-bytes", "-5"), ("--chunk-bytes", "x"), ("--step", "0"),
                        ("--start", "-1"), ("--frames", "-1"), ("--meta", "novalue"), ("--meta", "=x"),
                        ("--meta", "__store=1"), ("--set", "crf"), ("--set", "nonsense=1"), ("--set", "crf=1000"),
                        ("--set", "crf=x"), ("--set", "gop=0"), ("--set", "encoder=nonsense"), ("--set", "preset=warp"),
                        ("--set", "pix_fmt=nonsense"), ("--set", "frame_rate=-4"), ("--encoding", "cv_nonsense"),
                        ("--filter", "nonsense"), ("--realtime",), ("--source", self.source, self.source)):
            with self.subTest(options=options):
                result = run("save", self.source, self.new, *options)
                created = self.new.exists()
                shutil.rmtree(self.new, ignore_errors=True)
                self.assert_refused(result, 2)
                self.assertFalse(created)

    def test_source_that_is_missing(self):
        self.assert_refused(run("save", self.folder / "missing.mp4", self.new), 1, "missing.mp4")
        self.assert_refused(run("save", "--source", "/dev/video77", self.new), 1, "/dev/video77")
        (self.folder / "empty").mkdir()
        self.assert_refused(run("save", self.folder / "empty", self.new), 1, "empty")
        (self.folder / "text.txt").write_text("hello\n" * 100)
        self.assert_refused(run("save", self.folder / "text.txt", self.new), 1, "text.txt")
        self.assertFalse(self.new.exists())

    def test_destination_that_cannot_be(self):
        self.new.mkdir()
        self.assert_refused(run("save", self.source, self.new, "--format", "npy"), 1, "new")
        self.assertEqual(list(self.new.iterdir()), [])
        self.assert_refused(run("save", self.source, self.folder / "a" / "b", "--format", "npy"), 1, self.folder / "a")
        self.assert_refused(run("save", self.source, self.source, "--format", "npy"), 1, "source.npy")
        self.assertTrue(self.source.exists())

    def test_types_that_a_format_cannot_hold_leave_no_store(self):
        numpy.save(self.source, numbered_stack(3, dtype=numpy.float32))
        for name in ("avc1/mp4", "png", "jpg", "mjpeg/avi", "bmp", "pgm"):
            shutil.rmtree(self.new, ignore_errors=True)
            result = run("save", self.source, self.new, "--format", name)
            with self.subTest(format=name):
                self.assert_refused(result, 1, "float32")
                self.assertFalse(self.new.exists(), "an empty store stays behind")

    def test_encoding_that_does_not_fit_leaves_no_store(self):
        numpy.save(self.source, numbered_stack(3, channels=3))
        result = run("save", self.source, self.new, "--format", "npy", "--encoding", "cv_bayerbg")
        self.assert_refused(result, 1, "cv_bayerbg")
        self.assertFalse(self.new.exists(), "an empty store stays behind")


class PipesAndSignals(StoreTestCase):
    def test_reader_that_goes_away(self):
        source = self.folder / "many.npy"
        numpy.save(source, numpy.zeros((4000, 2, 2), numpy.uint8))
        store = self.folder / "store"
        self.ok("save", source, store, "--format", "npy", "--chunk-frames", 4000, "--time", "fps:10")
        program = subprocess.Popen(command("frames", store, "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        program.stdout.readline()
        program.stdout.close()
        message = program.stderr.read().decode()
        program.stderr.close()
        code = program.wait(20)
        self.assertIn(code, (0, 1, -signal.SIGPIPE), message)
        self.assertNotIn("unexpected", message)
        self.assertNotIn("terminate", message)

    def test_full_standard_output_is_an_error(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        for arguments in (("info", GOLDEN / "npy-gray", "--json"), ("frames", GOLDEN / "npy-gray", "--csv"),
                          ("extra", GOLDEN / "npy-color"), ("get", GOLDEN / "npy-gray", "--index", 0, "-o", "-")):
            with open("/dev/full", "wb") as full, self.subTest(arguments=arguments[0]):
                done = subprocess.run(command(*arguments), stdout=full, stderr=subprocess.PIPE, timeout=20)
                self.assertEqual(done.returncode, 1, done.stderr.decode())

    def interrupted(self, signal_number, name, *options):
        store = self.folder / f"{name}{signal_number}"
        program = subprocess.Popen(command("save", REAL_VIDEO, store, "--realtime", *options), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            media = list(store.glob("000000*"))
            if media and (store / "index.sqlite").exists() and self.committed(store) > 0:
                break
            time.sleep(0.02)
        program.send_signal(signal_number)
        out, message = program.communicate(timeout=20)
        self.assertEqual(program.returncode, 130, message.decode())
        self.assertEqual(out, b"")
        info = self.json_of("info", store)
        self.assertGreater(info["frame_count"], 0)
        self.assertIs(info["closed"], True)
        self.assertEqual(info["warnings"], [])
        self.assertFalse((store / ".lock").exists())
        self.assertFalse(list(store.glob("index.sqlite-*")))
        frames = self.extracted(store)
        self.assertEqual(len(frames), info["frame_count"])
        for frame, original in zip(frames, decode_video(REAL_VIDEO, 5)):
            self.assertLess(numpy.abs(frame.astype(int) - original).mean(), 4)
        with numpy.load(next(store.rglob("*.npz"))) as members:
            self.assertEqual(len(members["frame_number"]), info["frame_count"])

    def start_saving(self, store):
        """A program that goes on saving, with some frames down already."""
        program = subprocess.Popen(command("save", REAL_VIDEO, store, "--realtime"), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.committed(store) < 5:
            time.sleep(0.05)
        return program

    @staticmethod
    def committed(store):
        try:
            database = sqlite3.connect(f"file:{store}/index.sqlite?mode=ro", uri=True)
            try:
                return database.execute("SELECT COUNT(*) FROM frames").fetchone()[0]
            finally:
                database.close()
        except sqlite3.Error:
            return 0

    @unittest.skipUnless(REAL_VIDEO.exists(), "opencv-doc is not installed")
    def test_interrupt_while_saving(self):
        self.interrupted(signal.SIGINT, "video")
        self.interrupted(signal.SIGTERM, "images", "--format", "npy")

    @unittest.skipUnless(REAL_VIDEO.exists(), "opencv-doc is not installed")
    def test_killed_while_saving(self):
        """What was committed is served without any repair, and the store is told to be open."""
        store = self.folder / "store"
        program = self.start_saving(store)
        live = self.json_of("info", store)
        self.assertIs(live["closed"], False)
        self.assertGreaterEqual(live["frame_count"], 5)
        self.assert_refused(run("index", store), 1, "being written")
        program.kill()
        program.wait()
        info = self.json_of("info", store)
        self.assertIs(info["closed"], False)
        self.assertGreaterEqual(info["frame_count"], live["frame_count"])
        frames = self.extracted(store)
        self.assertEqual(len(frames), info["frame_count"])
        for frame, original in zip(frames, decode_video(REAL_VIDEO, 5)):
            self.assertLess(numpy.abs(frame.astype(int) - original).mean(), 4)

    @unittest.skipUnless(REAL_VIDEO.exists(), "opencv-doc is not installed")
    def test_rebuilding_the_index_of_a_killed_store_loses_nothing(self):
        store = self.folder / "store"
        program = self.start_saving(store)
        program.kill()
        program.wait()
        before = self.json_of("info", store)["frame_count"]
        result = run("index", store)
        self.assertEqual(self.json_of("info", store)["frame_count"], before, f"exit {result.code}: {result.err}")


if __name__ == "__main__":
    unittest.main()
