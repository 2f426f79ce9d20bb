"""`store convert` and `store bench-formats`."""
import json
import os
import shutil
import signal
import subprocess
import time
import unittest

import numpy

from store_program import (DATA_LOST, DONE, FAILED, GOLDEN, INTERRUPTED, PROGRAM, USAGE, StoreTestCase, command,
                           hash_of_tree, numbered_stack, read_number, run)


class ConvertTestCase(StoreTestCase):
    def rows(self, store):
        return [(row["number"], row["time"]) for row in self.lines_of("frames", store)]

    def assert_same(self, out, source, first=0, last=None, step=1, exact=True):
        self.assertEqual(self.rows(out), self.rows(source)[first:last:step])
        mine, theirs = self.extracted(out), self.extracted(source)[first:last:step]
        if exact:
            self.assertTrue(numpy.array_equal(mine, theirs))
        else:
            self.assertEqual([read_number(image) for image in mine], [read_number(image) for image in theirs])


class Convert(ConvertTestCase):
    def test_chain(self):
        """From format to format; the first is given with all it has, the last has it all still."""
        images = numbered_stack(30, channels=3)
        before = self.save_stack(images, "png", "--format", "png", "--chunk-frames", 14, "--meta", "who=me")
        for format, exact in (("npy", True), ("avc1/mp4", False), ("png", True)):
            out = self.folder / format.replace("/", "_")
            if out.exists():
                out = self.folder / f"{out.name}2"
            result = self.json_of("convert", before, out, "--format", format, "--chunk-frames", 11, "--verify")
            self.assertEqual((result["frames"], result["frames_damaged"]), (30, 0))
            self.assertEqual(result["verified"], {"frames": 30, "different": 0, "pixels_compared": exact})
            self.assert_same(out, before, exact=exact)
            self.ok("verify", out, "--level", "hash")
            info = self.json_of("info", out)
            self.assertEqual((info["format"], info["chunk_frames"], info["closed"]), (format, 11, True))
            before = out
        self.assertEqual(info["user_metadata"], {"who": "me"})

    def test_into_packed_arrays(self):
        formats = [entry["name"] for entry in self.json_of("formats")["chunk_formats"]]
        packed = [name for name in ("raw/npy", "zstd/npy", "predicted/rpz", "ffv1/mkv") if name in formats]
        if not packed:
            self.skipTest("this build has none of them")
        before = self.save_stack(numbered_stack(30), "mkv", "--format", "h264/mkv", "--chunk-frames", 12)
        images = self.extracted(before)
        for name in packed:
            out = self.folder / name.replace("/", "_")
            self.ok("convert", before, out, "--format", name, "--verify")
            before = out
        self.assertTrue(numpy.array_equal(self.extracted(before), images))

    def test_ranges(self):
        source = self.save_stack(numbered_stack(50), "a", "--format", "npy", "--chunk-frames", 20)
        numbers = [row[0] for row in self.rows(source)]
        times = [row[1] for row in self.rows(source)]
        for place, (options, first, last, step) in enumerate([
                (["--index", "3:40:2"], 3, 40, 2),
                (["--number", f"{numbers[5]}:{numbers[9]}"], 5, 9, 1),
                (["--time", f"{times[11]!r}..{times[30]!r}"], 11, 30, 1)]):
            out = self.folder / f"out{place}"
            self.ok("convert", source, out, "--format", "png", *options)
            self.assert_same(out, source, first, last, step)

    def test_imgstore_with_records(self):
        """Numbers with holes, extra data and raw images of a store that imgstore wrote."""
        for name in ("npy-color", "npy-bayer"):
            source = GOLDEN / name
            out = self.folder / name
            self.ok("convert", source, out, "--format", "png", "--verify")
            self.assertEqual(self.lines_of("extra", out), self.lines_of("extra", source))
            self.assert_same(out, source)
            self.assertEqual(self.json_of("info", out)["encoding"], self.json_of("info", source)["encoding"])
            self.assertEqual(self.json_of("info", out)["created_utc"], self.json_of("info", source)["created_utc"])

    def test_decode(self):
        source = GOLDEN / "npy-bayer"
        self.assertTrue(self.json_of("info", source)["encoding"])
        for name, options in (("decoded", ["--format", "png", "--decode"]), ("video", ["--format", "avc1/mp4"])):
            out = self.folder / name
            result = self.ok("convert", source, out, *options)
            self.assertIn("decoded", result.err)
            info = self.json_of("info", out)
            self.assertFalse(info["encoding"])
            self.assertEqual(len(info["image_shape"]), 3)
        self.assert_same(self.folder / "decoded", source)

    def test_demosaic(self):
        source = GOLDEN / "npy-bayer"
        self.assert_refused(run("convert", source, self.folder / "x", "--format", "png", "--demosaic", "vng"), USAGE, "--decode")
        self.assert_refused(run("convert", source, self.folder / "x", "--format", "png", "--decode", "--demosaic", "no"), USAGE)
        gray = self.save_stack(numbered_stack(2), "gray", "--format", "npy")
        for options in ([], ["--decode"]):
            self.assert_refused(run("convert", gray, self.folder / "x", "--format", "png", "--demosaic", "vng", *options),
                                USAGE, "the images are no Bayer mosaics")
        self.assertFalse((self.folder / "x").exists())
        self.ok("convert", source, self.folder / "vng", "--format", "png", "--decode", "--demosaic", "vng")
        self.ok("convert", source, self.folder / "bilinear", "--format", "png", "--decode")
        self.assertTrue(numpy.array_equal(self.extracted(self.folder / "vng"), self.extracted(source, "--demosaic", "vng")))
        self.assertFalse(numpy.array_equal(self.extracted(self.folder / "vng"), self.extracted(self.folder / "bilinear")))

    def test_deep_video(self):
        """Refused before anything is written unless the bits are told."""
        images = numpy.random.default_rng(3).integers(0, 1024, (8, 64, 64)).astype(numpy.uint16)
        source = self.save_stack(images, "deep", "--format", "npy")
        out = self.folder / "out"
        self.assert_refused(run("convert", source, out, "--format", "h264-lossless/mp4"), FAILED, "bits")
        self.assertFalse(out.exists())
        self.ok("convert", source, out, "--format", "h264-lossless/mp4", "--set", "bits=10", "--verify")
        self.assertTrue(numpy.array_equal(self.extracted(out), images))

    def test_same_format(self):
        source = self.save_stack(numbered_stack(20), "a", "--set", "crf=1")
        out = self.folder / "out"
        self.ok("convert", source, out, "--format", "avc1/mp4", "--set", "crf=45")
        self.assert_same(out, source, exact=False)
        self.assertLess(self.json_of("info", out)["bytes"], self.json_of("info", source)["bytes"])
        self.assertIn("store copy", self.ok("help", "convert").out)

    def test_refusals(self):
        source = self.save_stack(numbered_stack(4), "a", "--format", "png")
        out = self.folder / "out"
        before = hash_of_tree(source)
        self.assert_refused(run("convert", source, out, "--format", "nonsense"), USAGE, "nonsense", "avc1/mp4")
        self.assert_refused(run("convert", source, out), USAGE, "--format")
        for options in (["--set", "crf=1"], ["--set", "x"], ["--index", "x"], ["--index", "0:1", "--number", "0:1"],
                        ["--chunk-frames", 0], ["--meta", "x"], ["--nonsense"]):
            self.assert_refused(run("convert", source, out, "--format", "npy", *options), USAGE)
        self.assert_refused(run("convert", source, source / "inside", "--format", "npy"), USAGE, "would lie in its source")
        self.assert_refused(run("convert", source, out, "--format", "npy", "--index", "4:"), FAILED, "no frame was selected")
        self.assert_refused(run("convert", source, out, "--format", "npy", "--number", "70:80"), FAILED,
                            "no frame was selected")
        self.assert_refused(run("convert", self.folder / "nothing", out, "--format", "npy"), FAILED)
        deep = self.save_stack(numbered_stack(4, dtype=numpy.float32), "deep", "--format", "npy")
        self.assert_refused(run("convert", deep, out, "--format", "png"), FAILED, "tif")
        self.assert_refused(run("convert", deep, out, "--format", "avc1/mp4"), FAILED, "npy")
        self.assertFalse(out.exists())
        self.assertEqual(sorted(path.name for path in self.folder.glob("*converting*")), [])
        self.assertEqual(hash_of_tree(source), before)

    def test_existing_output(self):
        source = self.save_stack(numbered_stack(4), "a", "--format", "png")
        other = self.save_stack(numbered_stack(2), "b", "--format", "png")
        self.assert_refused(run("convert", source, other, "--format", "npy"), FAILED, "--force")
        self.assertEqual(len(self.rows(other)), 2)
        self.ok("convert", source, other, "--format", "npy", "--force", "--verify")
        self.assert_same(other, source)
        self.assertEqual([path.name for path in self.folder.glob("b*")], ["b"])
        mine = self.folder / "mine"
        mine.mkdir()
        (mine / "thesis.txt").write_text("all of it")
        self.assert_refused(run("convert", source, mine, "--format", "npy", "--force"), FAILED, "only replaces stores")

    def test_damage(self):
        source = self.save_stack(numbered_stack(30), "a", "--format", "png", "--chunk-frames", 10)
        path = source / "000001" / "000002.png"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        out = self.folder / "out"
        result = run("convert", source, out, "--format", "npy", "--chunk-frames", 7, "--json", "--verify")
        self.assertEqual(result.code, DATA_LOST, result.err)
        for word in ("000002.png", "chunk 1", "frame index 12", "1 frames could not be read"):
            self.assertIn(word, result.err)
        printed = json.loads(result.out)
        self.assertEqual((printed["frames"], printed["frames_damaged"]), (29, 1))
        self.assertIn("000002.png", printed["damaged"][0])
        self.assertEqual(printed["verified"]["frames"], 29)
        rows = self.rows(source)
        self.assertEqual(self.rows(out), rows[:12] + rows[13:])
        self.ok("verify", out, "--level", "hash")

    def test_nothing_readable(self):
        """A good store is not replaced by an empty one."""
        source = self.save_stack(numbered_stack(9), "a", "--format", "png", "--chunk-frames", 4)
        good = self.save_stack(numbered_stack(5), "good", "--format", "npy")
        for path in source.glob("*/*.png"):
            path.unlink()
        before = hash_of_tree(good)
        for verb, *options in (["convert", "--format", "npy"], ["convert", "--format", "npy", "--verify"],
                               ["convert", "--format", "npy", "--index", "2:4"],
                               ["copy", "--reencode", "--skip-damaged"], ["copy", "--skip-damaged"]):
            with self.subTest(verb=verb, options=options):
                result = run(verb, source, good, "--force", *options)
                self.assertEqual(result.code, FAILED, result.err)
                self.assertIn("none of its frames could be read; the first: ", result.err)
                self.assertIn(".png", result.err)
                self.assertEqual(hash_of_tree(good), before)
                self.assertEqual([path.name for path in self.folder.glob("good*")], ["good"])
                self.assertEqual(run(verb, source, self.folder / "new", *options).code, FAILED)
                self.assertFalse((self.folder / "new").exists())

    def test_changed_pixels(self):
        """Raw arrays are compared with their checksums, as they are looked at anyway."""
        source = self.save_stack(numbered_stack(9), "a", "--format", "raw/npy", "--chunk-frames", 4)
        path = source / "000001.npy"
        data = bytearray(path.read_bytes())
        data[-5] ^= 1
        path.write_bytes(data)
        rows = self.rows(source)
        for verb, *options in (["convert", "--format", "png", "--verify"], ["copy", "--reencode", "--skip-damaged"]):
            with self.subTest(verb=verb):
                result = run(verb, source, self.folder / verb, *options)
                self.assertEqual(result.code, DATA_LOST, result.err)
                self.assertEqual(self.rows(self.folder / verb), rows[:7] + rows[8:])

    def test_missing_video(self):
        """Chunks that are gone are passed over when the new store is read back, too."""
        source = self.save_stack(numbered_stack(30), "a", "--format", "avc1/mp4", "--chunk-frames", 10)
        (source / "000001.mp4").unlink()
        out = self.folder / "out"
        result = self.json_of("convert", source, out, "--format", "png", "--verify", code=DATA_LOST)
        self.assertEqual((result["frames"], result["frames_damaged"]), (20, 10))
        self.assertEqual(result["verified"]["different"], 0)

    def test_too_bright(self):
        """An image that the encoder cannot hold is named by the store it is from."""
        images = numpy.full((9, 64, 64), 1000, numpy.uint16)
        images[8, 3, 5] = 2000
        source = self.save_stack(images, "deep", "--format", "raw/npy")
        out = self.folder / "out"
        result = run("convert", source, out, "--format", "h264-lossless/mp4", "--set", "bits=10")
        self.assertEqual(result.code, FAILED)
        for word in (f"{source}:", "frame index 8", "2000", "the frames converted so far are in"):
            self.assertIn(word, result.err)
        self.assertNotIn(".converting", result.err)
        self.assertTrue(numpy.array_equal(self.extracted(out), images[:8]))

    def test_interrupted(self):
        many = self.save_stack(numpy.repeat(numbered_stack(1, 240, 320), 800, axis=0), "many", "--format", "npy",
                               "--chunk-frames", 50)
        out = self.folder / "out"
        process = subprocess.Popen(command("convert", many, out, "--format", "png", "--set", "compression=6",
                                           "--chunk-frames", 10), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not (out / "000001").exists() and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=60)[1].decode()
        self.assertEqual(process.returncode, INTERRUPTED, error)
        self.assertIn(" of 800 frames", error)
        count = len(self.rows(out))
        self.assertTrue(10 <= count < 800, count)
        self.assertIn(f"stopped after {count} of 800", error)
        self.assertTrue(self.json_of("info", out)["closed"])
        self.assertEqual(self.rows(out), self.rows(many)[:count])
        self.ok("verify", out, "--level", "hash")
        self.assertEqual(list(self.folder.glob("*.converting")), [])

    def test_killed(self):
        many = self.save_stack(numpy.repeat(numbered_stack(1, 240, 320), 400, axis=0), "many", "--format", "npy",
                               "--chunk-frames", 50)
        out = self.folder / "out"
        process = subprocess.Popen(command("convert", many, out, "--format", "png", "--set", "compression=6",
                                           "--chunk-frames", 10), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not (out / "000003").exists() and process.poll() is None:
            time.sleep(0.002)
        process.kill()
        process.communicate(timeout=60)
        count = len(self.rows(out))
        self.assertTrue(10 <= count < 400, count)
        self.assertEqual(self.rows(out), self.rows(many)[:count])
        self.ok("repair", out, "--apply")
        self.ok("verify", out, "--level", "hash")
        self.assertEqual(self.rows(out), self.rows(many)[:count])
        # What is left beside it is told, not overwritten and not mixed in.
        self.assert_refused(run("convert", many, out, "--format", "png", "--force"), FAILED, "out.converting", "remove it")
        shutil.rmtree(self.folder / "out.converting")
        self.ok("convert", many, out, "--format", "npy", "--force", "--index", ":20")


class BenchFormats(ConvertTestCase):
    def bench(self, *arguments, code=DONE):
        return self.json_of("bench-formats", *arguments, code=code)

    def temporary(self):
        """A place for temporary files, empty again at the end."""
        folder = self.folder / "temporary"
        folder.mkdir(exist_ok=True)
        return {**os.environ, "TMPDIR": str(folder)}

    def formats(self):
        return {entry["name"]: entry for entry in self.json_of("formats")["chunk_formats"]}

    def check(self, printed, frames):
        self.assertEqual(printed["sample"]["frames"], frames)
        sizes = [entry["bytes_per_frame"] for entry in printed["formats"]]
        self.assertEqual(sizes, sorted(sizes))
        for entry in printed["formats"]:
            with self.subTest(entry["format"]):
                for key in ("bytes_per_frame", "ratio", "write_frames_per_second", "write_megabytes_per_second",
                            "random_read_milliseconds", "sequential_read_frames_per_second"):
                    self.assertGreater(entry[key], 0, key)
                if entry["lossless"]:
                    self.assertTrue(entry["exact"])
                if entry["exact"]:
                    self.assertIsNone(entry["psnr"])
                    self.assertEqual(entry["ssim"], 1)
                else:
                    self.assertTrue(20 < entry["psnr"] < 100, entry["psnr"])
                    self.assertTrue(0.5 < entry["ssim"] <= 1, entry["ssim"])

    def test_every_suitable_format(self):
        video = self.save_stack(numbered_stack(60, channels=3), "store", "--format", "avc1/mp4")
        printed = self.bench(video, "--frames", 30)
        self.check(printed, 30)
        self.assertEqual(printed["sample"]["runs"], [[7, 22], [37, 52]])
        self.assertEqual(printed["sample"]["image_shape"], [48, 64, 3])
        measured = {entry["format"] for entry in printed["formats"]}
        skipped = {entry["format"]: entry["reason"] for entry in printed["skipped"]}
        every = {name for name in self.formats() if not name.endswith("+color")}
        self.assertEqual(measured | set(skipped), every)
        self.assertFalse(measured & set(skipped))
        self.assertIn("pgm", skipped)
        for name in ("png", "npy", "avc1/mp4", "mjpeg/avi", "jpg"):
            self.assertIn(name, measured)
        recommended = printed["recommended"]
        self.assertEqual(recommended["smallest"], printed["formats"][0]["format"])
        lossless = [entry["format"] for entry in printed["formats"] if entry["lossless"]]
        self.assertEqual(recommended["smallest_lossless"], lossless[0])
        self.assertIn(recommended["fastest_write"], measured)

    def test_deep_arrays(self):
        images = numpy.random.default_rng(1).integers(0, 65536, (12, 20, 30), numpy.uint16)
        path = self.folder / "deep.npy"
        numpy.save(path, images)
        printed = self.bench(path)
        self.check(printed, 12)
        self.assertEqual(printed["sample"]["runs"], [[0, 12]])
        self.assertTrue({"png", "tif", "npy"} <= {entry["format"] for entry in printed["formats"]})
        self.assertIn("avc1/mp4", {entry["format"] for entry in printed["skipped"]})

    def test_bits_of_video(self):
        path = self.folder / "deep.npy"
        numpy.save(path, numbered_stack(10, dtype=numpy.uint16) // 64)
        printed = self.bench(path, "--formats", "avc1/mp4,h264-lossless/mp4", "--set", "bits=10")
        by_name = {entry["format"]: entry for entry in printed["formats"]}
        self.assertTrue(by_name["h264-lossless/mp4"]["exact"])
        self.assertTrue(25 < by_name["avc1/mp4"]["psnr"] < 70, by_name)

    def test_raw_store(self):
        printed = self.bench(GOLDEN / "npy-bayer", "--formats", "npy,png,png+color,jpg")
        self.assertTrue(printed["sample"]["encoding"])
        decoded = {entry["format"]: entry["decoded"] for entry in printed["formats"]}
        self.assertEqual(decoded, {"npy": False, "png": False, "png+color": True, "jpg": True})

    def test_image_folder_and_options(self):
        source = self.save_stack(numbered_stack(8), "store", "--format", "png")
        images = self.folder / "images"
        shutil.copytree(source / "000000", images)
        for path in images.iterdir():
            if path.suffix != ".png":
                path.unlink()
        keep = self.folder / "keep"
        good = self.bench(images, "--formats", "jpg,npy", "--set", "quality=99", "--keep", keep)
        self.assertEqual(sorted(path.name for path in keep.iterdir()), ["jpg", "npy"])
        self.assertEqual(len(list((keep / "jpg").iterdir())), 8)
        bad = self.bench(images, "--formats", "jpg", "--set", "quality=10")
        by_name = {entry["format"]: entry for entry in good["formats"]}
        self.assertLess(bad["formats"][0]["psnr"], by_name["jpg"]["psnr"])
        self.assertLess(bad["formats"][0]["bytes_per_frame"], by_name["jpg"]["bytes_per_frame"])
        self.assert_refused(run("bench-formats", images, "--formats", "jpg", "--keep", keep), FAILED, "--keep")

    def test_table(self):
        source = self.save_stack(numbered_stack(8), "store", "--format", "png")
        result = self.ok("bench-formats", source, "--formats", "png,npy,avc1/mp4,png+color", env=self.temporary())
        for word in ("png", "npy", "avc1/mp4", "exact", "SSIM", "smallest lossless", "fastest write", "fastest random read"):
            self.assertIn(word, result.out)
        self.assertEqual(list((self.folder / "temporary").iterdir()), [])
        link = PROGRAM.with_name("store-bench-formats")
        self.assertIn("png", self.ok(source, "--formats", "png", program=link).out)

    def test_refusals_and_interruption(self):
        source = self.save_stack(numbered_stack(8), "store", "--format", "png")
        self.assert_refused(run("bench-formats", source, "--formats", "nonsense"), USAGE, "nonsense")
        self.assert_refused(run("bench-formats", source, "--set", "nonsense=1"), USAGE, "nonsense")
        self.assert_refused(run("bench-formats", source, "--frames", 0), USAGE)
        self.assert_refused(run("bench-formats", source, "--index", "0:8:2"), USAGE)
        self.assert_refused(run("bench-formats", source, "--index", "8:"), FAILED, "no frame")
        self.assert_refused(run("bench-formats", self.folder / "nothing"), FAILED)
        big = self.save_stack(numpy.repeat(numbered_stack(1, 240, 320, 3), 60, axis=0), "big", "--format", "npy")
        process = subprocess.Popen(command("bench-formats", big), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.temporary())
        while not list((self.folder / "temporary").glob("*/*")) and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=60)[1].decode()
        self.assertEqual(process.returncode, INTERRUPTED, error)
        self.assertEqual(list((self.folder / "temporary").iterdir()), [])

    def test_damaged_frames(self):
        source = self.save_stack(numbered_stack(10), "a", "--format", "png")
        (source / "000000" / "000003.png").write_bytes(b"nothing")
        printed = self.bench(source, "--formats", "png", code=DATA_LOST)
        self.assertEqual((printed["sample"]["frames"], printed["sample"]["damaged"]), (9, 1))


if __name__ == "__main__":
    unittest.main()
