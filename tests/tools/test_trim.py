"""`store trim`: what it says, what it refuses, what it does, also to a recording that is under way."""
import json
import os
import signal
import subprocess
import unittest

import numpy

from store_program import (DONE, FAILED, USAGE, StoreTestCase, command, hash_of_tree, numbered_image,
                           numbered_stack, read_number, run)

FRAMES = 60
CHUNK = 10


class Trim(StoreTestCase):
    def make(self, name="store", format_name="npy", frames=FRAMES):
        return self.save_stack(numbered_stack(frames), name, "--format", format_name, "--chunk-frames", CHUNK,
                               times="fps:10")

    def frames_of(self, store):
        return [frame["number"] for frame in self.lines_of("frames", store)]

    def time_of(self, store, number):
        return next(frame["time"] for frame in self.lines_of("frames", store) if frame["number"] == number)

    def assert_left(self, store, first, last=FRAMES):
        frames = self.lines_of("frames", store)
        self.assertEqual([frame["index"] for frame in frames], list(range(last - first)))
        self.assertEqual([frame["number"] for frame in frames], list(range(first, last)))
        self.assertEqual([read_number(image) for image in self.extracted(store)], list(range(first, last)))
        report = self.json_of("verify", store, "--level", "hash")
        self.assertEqual(report["findings"], [])
        self.assertFalse((store / ".trim.lock").exists())

    def test_says_what_it_would_do_and_does_it(self):
        for format_name in ("npy", "avc1/mp4", "mjpeg/avi"):
            with self.subTest(format_name):
                store = self.make(format_name.replace("/", "_"), format_name)
                before = hash_of_tree(store)
                limit = self.time_of(store, 25)
                said = self.ok("trim", store, "--before", repr(limit))
                self.assertIn("removes  20 frames in 2 chunks (0 to 1)", said.out)
                self.assertIn("numbers 0 to 19", said.out)
                self.assertIn("keeps    40 frames in 4 chunks", said.out)
                self.assertIn("nothing was changed; --apply does it", said.err)
                self.assertEqual(hash_of_tree(store), before)
                plan = self.json_of("trim", store, "--before", repr(limit))
                self.assertFalse(plan["applied"])
                self.assertIsNone(plan["refused"])
                self.assertEqual(plan["kept"]["frames"], 40)
                self.assertEqual(plan["leftovers"], 0)
                self.assertEqual(plan["notes"], [])
                self.assertEqual(hash_of_tree(store), before)
                done = self.json_of("trim", store, "--before", repr(limit), "--apply")
                self.assertTrue(done["applied"])
                self.assertEqual(done["removed"], plan["removed"])
                self.assertEqual((done["removed"]["first_chunk"], done["removed"]["last_chunk"]), (0, 1))
                self.assertEqual((done["removed"]["first_number"], done["removed"]["last_number"]), (0, 19))
                self.assertGreater(done["removed"]["bytes"], 0)
                self.assert_left(store, 20)
                again = self.ok("trim", store, "--before", repr(limit), "--apply")
                self.assertEqual((again.out, again.err), ("", "there was nothing to do\n"))
                self.assertIn("there is nothing to do", self.ok("trim", store, "--before", repr(limit)).err)
                empty = self.json_of("trim", store, "--before", repr(limit), "--apply")
                self.assertEqual(empty["removed"]["chunks"], 0)
                self.assertIsNone(empty["removed"]["first_number"])
                events = [event for event in self.lines_of("events", store) if event["kind"] == "trimmed"]
                self.assertEqual(len(events), 1)
                self.assertEqual(events[0]["data"]["frames"], 20)
                # Sidecars alone tell the same.
                (store / "index.sqlite").unlink()
                self.assertEqual(self.frames_of(store), list(range(20, FRAMES)))
                self.assertEqual([read_number(image) for image in self.extracted(store)], list(range(20, FRAMES)))

    def test_more_than_half_needs_force(self):
        store = self.make()
        limit = repr(self.time_of(store, 45))
        before = hash_of_tree(store)
        said = self.ok("trim", store, "--before", limit)
        self.assertIn("--apply will refuse", said.err)
        self.assertIn("--force", said.err)
        self.assertIn("40 of 60 frames", self.json_of("trim", store, "--before", limit)["refused"])
        self.assertIsNone(self.json_of("trim", store, "--before", limit, "--force")["refused"])
        self.assert_refused(run("trim", store, "--before", limit, "--apply"), FAILED, "40 of 60 frames", "half", "--force",
                            "chunks 0 to 3", "nothing was removed")
        self.assertEqual(hash_of_tree(store), before)
        self.ok("trim", store, "--before", limit, "--apply", "--force")
        self.assert_left(store, 40)
        # The last chunk stays, whatever is asked for.
        self.ok("trim", store, "--before", "2200-01-01", "--apply", "--force")
        self.assert_left(store, 50)

    def test_days_and_bytes(self):
        store = self.make()
        # Frame 59 is recorded last; 1.95 s before is behind frame 39.
        days = repr((self.time_of(store, 59) - self.time_of(store, 39) - 0.05) / 86400)
        self.assertEqual(self.json_of("trim", store, "--keep-days", days)["removed"]["frames"], 40)
        total = self.json_of("trim", store, "--keep-bytes", "1T")["kept"]["bytes"]
        chunk = self.json_of("trim", store, "--keep-bytes", total - 1)["removed"]
        self.assertEqual(chunk["frames"], 10)
        self.ok("trim", store, "--keep-bytes", total - chunk["bytes"] - 1, "--apply")
        self.assert_left(store, 20)
        self.ok("trim", store, "--keep-days", days, "--apply")
        self.assert_left(store, 40)
        self.assertIn("the last chunk", self.ok("trim", store, "--keep-bytes", "1").err)

    def test_clock_that_leaps(self):
        store = self.folder / "s"
        times = [1e9 + i * 3600 for i in range(60)] + [1e9 + 365 * 86400 + i * 3600 for i in range(100)]
        self.save_leaping(store, times)
        self.assert_refused(run("trim", store, "--keep-days", "20", "--apply"), FAILED, "leap", "--before", "--force")
        self.assertEqual(len(self.frames_of(store)), 160)
        self.ok("trim", store, "--before", "2001-12-01", "--apply")
        self.assertEqual(self.frames_of(store)[0], 60)

    def save_leaping(self, store, times):
        """A store with these times, as imgstore lays it out."""
        store.mkdir()
        (store / "metadata.yaml").write_text(
            "__store:\n  class: DirectoryImgStore\n  version: 2\n  format: npy\n  chunksize: 10\n  encoding: null\n"
            "  imgdtype: uint8\n  imgshape: [16, 64]\n  created_utc: '2020-01-01T00:00:00'\n"
            "  timezone_local: Etc/UTC\n  uuid: 0123456789abcdef0123456789abcdef\n")
        for chunk in range(0, len(times), 10):
            folder = store / f"{chunk // 10:06d}"
            folder.mkdir()
            part = times[chunk:chunk + 10]
            for i in range(len(part)):
                numpy.save(folder / f"{i:06d}.npy", numbered_image(chunk + i, 16, 64))
            numpy.savez(folder / "index.npz", frame_number=numpy.arange(chunk, chunk + len(part)),
                        frame_time=numpy.array(part))

    def test_usage(self):
        store = self.make(frames=20)
        before = hash_of_tree(store)
        for arguments in ([], ["--apply"], ["--keep-days", "1", "--keep-bytes", "1"], ["--keep-days", "1", "--before", "1"],
                          ["--keep-days", "-1"], ["--keep-days", "0"], ["--keep-days", "soon"], ["--keep-days", "nan"],
                          ["--keep-bytes", "0"], ["--keep-bytes", "many"], ["--before", "yesterday"]):
            with self.subTest(arguments):
                result = run("trim", store, *arguments)
                self.assertEqual(result.code, USAGE, result.err)
                self.assertEqual(result.out, "")
        self.assertEqual(run("trim").code, USAGE)
        self.assertEqual(hash_of_tree(store), before)
        self.assert_refused(run("trim", self.folder, "--keep-days", "1", "--apply"), FAILED, "metadata.yaml")
        self.assert_refused(run("trim", self.folder / "no", "--keep-days", "1"), FAILED, "no such")
        self.assertIn("--keep-days", self.ok("help", "trim").out)

    def test_leftovers_of_a_trim_that_was_ended(self):
        store = self.make("s", "avc1/mp4")
        limit = repr(self.time_of(store, 25))
        files = {path.name: path.read_bytes() for path in store.glob("00000[01].*")}
        self.ok("trim", store, "--before", limit, "--apply")
        for name, data in files.items():
            if not name.startswith("000000.npz"):
                (store / name).write_bytes(data)
        self.assertEqual(self.frames_of(store), list(range(20, FRAMES)))
        report = self.json_of("verify", store)
        self.assertEqual([finding["code"] for finding in report["findings"]], ["trimmed_left", "trimmed_left"])
        self.assertFalse(report["damaged"])
        self.assertEqual(self.json_of("repair", store)["actions"], [])
        self.assertEqual(self.json_of("trim", store, "--before", limit)["leftovers"], 2)
        self.assertIn("what is left of 2 chunks", self.ok("trim", store, "--before", limit, "--apply").out)
        self.assertEqual(list(store.glob("00000[01]*")), [])
        self.assert_left(store, 20)

    def test_read_only_store(self):
        if os.getuid() == 0:
            self.skipTest("root may write anywhere")
        store = self.make()
        store.chmod(0o555)
        self.addCleanup(store.chmod, 0o755)
        self.assertEqual(self.json_of("trim", store, "--before", repr(self.time_of(store, 25)))["removed"]["frames"], 20)
        self.assert_refused(run("trim", store, "--before", "2100-01-01", "--apply", "--force"), FAILED, "permission")
        self.assertEqual(len(self.frames_of(store)), FRAMES)


class WhileRecording(StoreTestCase):
    def test_recording_goes_on(self):
        for format_name in ("avc1/mp4", "npy", "mjpeg/avi"):
            with self.subTest(format_name):
                self.record_and_trim(format_name)

    def record_and_trim(self, format_name):
        count = 900
        source = self.folder / "source"
        if not source.exists():
            self.save_stack(numbered_stack(count), "source", "--format", "npy", times="fps:150")
        store = self.folder / format_name.replace("/", "_")
        process = subprocess.Popen(
            command("save", source, store, "--realtime", "--format", format_name, "--chunk-frames", "20",
                    "--commit-interval", "0.05"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        trimmed = 0
        try:
            while process.poll() is None:
                result = run("trim", store, "--keep-bytes", "200K", "--apply", "--force", "--json")
                if result.code == DONE:
                    trimmed += json.loads(result.out)["removed"]["chunks"] > 0
                else:
                    # Before there is a store.
                    self.assertEqual(trimmed, 0, result.err)
                frames = run("frames", store, "--json")
                if frames.code == DONE and frames.out:
                    numbers = [json.loads(line)["number"] for line in frames.out.splitlines()]
                    self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            error = process.communicate()[1].decode()
        self.assertEqual(process.returncode, DONE, error)
        self.assertGreater(trimmed, 2)
        frames = self.lines_of("frames", store)
        first = frames[0]["number"]
        self.assertGreater(first, 20)
        self.assertEqual([frame["number"] for frame in frames], list(range(first, count)))
        self.assertEqual([read_number(image) for image in self.extracted(store)], list(range(first, count)))
        report = self.json_of("verify", store, "--level", "hash")
        self.assertEqual(report["findings"], [])
        self.assertTrue(self.json_of("info", store)["closed"])


if __name__ == "__main__":
    unittest.main()
