"""Following a store that is being recorded, its state, its events, and what signals do to a recording."""
import csv
import io
import json
import os
import queue
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
import unittest

import numpy

from store_program import (DONE, GOLDEN, INTERRUPTED, USAGE, StoreTestCase, command, numbered_stack, read_number, run)

RATE = 100
WAIT = 30


class Follower:
    """`store frames --follow`, its lines and when each came."""

    def __init__(self, test, store, *options):
        self.program = subprocess.Popen(command("frames", store, "--follow", *options), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        test.addCleanup(self.end)
        self.lines = []
        self.arrivals = queue.Queue()
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        for line in self.program.stdout:
            self.lines.append(line.decode())
            self.arrivals.put(time.monotonic())

    def end(self):
        if self.program.poll() is None:
            self.program.kill()
        self.thread.join()
        self.program.stdout.close()
        self.program.stderr.close()
        self.program.wait()

    def wait_for_lines(self, count):
        deadline = time.monotonic() + WAIT
        while len(self.lines) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return len(self.lines) >= count

    def finish(self):
        """Exit code and what was said, when it has ended by itself."""
        code = self.program.wait(WAIT)
        self.thread.join(WAIT)
        return code, self.program.stderr.read().decode()


class Recorded(StoreTestCase):
    """Tests with `store save` at work."""

    def setUp(self):
        super().setUp()
        self.store = self.folder / "store"

    def record(self, count, *options, wait=True):
        source = self.folder / "source"
        if not source.exists():
            # A file with times of its own can be saved at its own pace.
            numpy.save(self.folder / "stack.npy", numbered_stack(count))
            self.ok("save", self.folder / "stack.npy", source, "--time", f"fps:{RATE}")
        program = subprocess.Popen(command("save", source, self.store, "--realtime", *options),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(self.end, program)
        deadline = time.monotonic() + WAIT
        while wait and time.monotonic() < deadline and self.committed() == 0:
            time.sleep(0.02)
        return program

    @staticmethod
    def end(program):
        if program.poll() is None:
            program.kill()
        program.stderr.close()
        program.wait()

    def committed(self):
        try:
            database = sqlite3.connect(f"file:{self.store}/index.sqlite?mode=ro", uri=True)
            try:
                return database.execute("SELECT COUNT(*) FROM frames").fetchone()[0]
            finally:
                database.close()
        except sqlite3.Error:
            return 0


class FollowFrames(Recorded):
    def test_to_the_end_of_the_recording(self):
        count = 4 * RATE
        recording = self.record(count, "--format", "npy", "--chunk-frames", 150)
        first = Follower(self, self.store, "--json")
        behind = Follower(self, self.store, "--csv", "--index", "250:")
        part = Follower(self, self.store, "--csv", "--index", "10:300:20")
        last = Follower(self, self.store, "--json", "--index", "-1:")
        self.assertEqual(part.finish()[0], DONE)
        self.assertIsNone(recording.poll(), "it should end when its range is through, not with the recording")
        self.assertEqual(recording.wait(WAIT), DONE)
        closed = time.monotonic()
        for follower in (first, behind, last):
            code, message = follower.finish()
            self.assertEqual(code, DONE, message)
            self.assertEqual(message, "")
        self.assertLess(time.monotonic() - closed, 2)
        rows = [json.loads(line) for line in first.lines]
        self.assertEqual(rows, self.lines_of("frames", self.store))
        self.assertEqual([row["index"] for row in rows], list(range(count)))
        rows = list(csv.DictReader(io.StringIO("".join(behind.lines))))
        self.assertEqual([int(row["index"]) for row in rows], list(range(250, count)))
        rows = list(csv.DictReader(io.StringIO("".join(part.lines))))
        self.assertEqual([int(row["index"]) for row in rows], list(range(10, 300, 20)))
        indices = [json.loads(line)["index"] for line in last.lines]
        self.assertEqual(indices, list(range(indices[0], count)))
        self.assertGreater(indices[0], 0)
        # Rows come while the recording goes on, not all at its end.
        arrivals = sorted(first.arrivals.queue)
        self.assertGreater(arrivals[-1] - arrivals[0], 0.5)

    def test_lag_and_processor_time(self):
        """Rows are printed within a quarter of a second of their commit, and waiting costs next to nothing."""
        recording = self.record(4 * RATE, "--format", "npy")
        follower = Follower(self, self.store, "--json")
        lags = []
        while recording.poll() is None:
            count = self.committed()
            since = time.monotonic()
            while len(follower.lines) < count and time.monotonic() - since < WAIT:
                time.sleep(0.002)
            lags.append(time.monotonic() - since)
            time.sleep(0.01)
        self.assertLess(sorted(lags)[len(lags) * 9 // 10], 0.3)
        start = os.times()
        self.assertEqual(follower.finish()[0], DONE)
        used = os.times()
        spent = used.children_user - start.children_user + used.children_system - start.children_system
        self.assertLess(spent, 1.0)

    def test_begins_before_the_recording_does(self):
        self.record(RATE, "--format", "npy", wait=False)
        deadline = time.monotonic() + WAIT
        while not (self.store / ".lock").exists() and time.monotonic() < deadline:
            time.sleep(0.0005)
        follower = Follower(self, self.store, "--json")
        code, message = follower.finish()
        self.assertEqual(code, DONE, message)
        self.assertEqual(len(follower.lines), RATE)

    def test_writer_killed(self):
        recording = self.record(20 * RATE, "--format", "npy")
        follower = Follower(self, self.store, "--json")
        self.assertTrue(follower.wait_for_lines(RATE // 2))
        recording.kill()
        recording.wait()
        code, message = follower.finish()
        self.assertEqual(code, DONE, message)
        self.assertIn("ended without being closed", message)
        self.assertIn("store repair", message)
        self.assertEqual([json.loads(line)["index"] for line in follower.lines], list(range(self.committed())))

    def test_interrupt(self):
        self.record(20 * RATE, "--format", "npy")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            follower = Follower(self, self.store, "--csv")
            self.assertTrue(follower.wait_for_lines(2))
            follower.program.send_signal(number)
            code, message = follower.finish()
            self.assertEqual(code, INTERRUPTED, message)
            self.assertTrue(follower.lines[-1].endswith("\n"))

    def test_what_is_not_being_recorded(self):
        store = self.save_stack(numbered_stack(5), "closed", "--format", "npy")
        self.assertEqual(run("frames", store, "--follow", "--json").out, run("frames", store, "--json").out)
        self.assertEqual(run("frames", store, "--follow", "--index", 3, "--csv").out.splitlines()[1:],
                         run("frames", store, "--index", 3, "--csv").out.splitlines()[1:])
        numpy.save(self.folder / "stack.npy", numbered_stack(3))
        self.assert_refused(run("frames", self.folder / "stack.npy", "--follow"), USAGE, "store")
        self.assert_refused(run("frames", GOLDEN / "npy-gray", "--follow"), 1, "index")
        self.assert_refused(run("frames", self.folder / "nothing", "--follow"), 1, "no such file")
        self.assert_refused(run("frames", store, "--follow", "--index", "0:-1"), USAGE, "--follow")


class State(Recorded):
    def test_of_a_recording(self):
        recording = self.record(20 * RATE, "--format", "npy")
        info = self.json_of("info", self.store)
        self.assertIs(info["recording"], True)
        self.assertIs(info["closed"], False)
        self.assertIn("recording", self.ok("info", self.store).out)
        recording.kill()
        recording.wait()
        info = self.json_of("info", self.store)
        self.assertIs(info["recording"], False)
        self.assertIs(info["closed"], False)
        text = self.ok("info", self.store).out
        self.assertIn("not closed by its writer", text)
        self.assertIn("store repair", text)

    def test_of_other_recordings(self):
        store = self.save_stack(numbered_stack(3), "closed", "--format", "npy")
        info = self.json_of("info", store)
        self.assertIs(info["recording"], False)
        self.assertIs(info["closed"], True)
        self.assertIn("closed", self.ok("info", store).out)
        info = self.json_of("info", GOLDEN / "npy-gray")
        self.assertIs(info["recording"], False)
        self.assertEqual(info["events"], 0)
        numpy.save(self.folder / "stack.npy", numbered_stack(3))
        info = self.json_of("info", self.folder / "stack.npy")
        self.assertIsNone(info["recording"])
        self.assertIsNone(info["events"])


class Events(StoreTestCase):
    def test_events(self):
        store = self.save_stack(numbered_stack(3), "store", "--format", "npy")
        before = self.json_of("info", store)["events"]
        database = sqlite3.connect(store / "index.sqlite")
        database.executemany("INSERT INTO events (time, kind, frame_index, data) VALUES (?, ?, ?, ?)",
                             [(1577836800.5, "dropped", 2, '{"first": 7, "count": 3}'),
                              (1577836801.25, "fault", None, '{"text": "a, \\"b\\""}')])
        database.commit()
        database.close()
        events = self.lines_of("events", store)[before:]
        self.assertEqual(events, [{"time": 1577836800.5, "kind": "dropped", "frame_index": 2,
                                   "data": {"first": 7, "count": 3}},
                                  {"time": 1577836801.25, "kind": "fault", "frame_index": None,
                                   "data": {"text": 'a, "b"'}}])
        rows = list(csv.DictReader(io.StringIO(self.ok("events", store, "--csv").out)))[before:]
        self.assertEqual([row["kind"] for row in rows], ["dropped", "fault"])
        self.assertEqual(rows[0]["frame_index"], "2")
        self.assertEqual(rows[1]["frame_index"], "")
        self.assertEqual(float(rows[1]["time"]), 1577836801.25)
        self.assertEqual(json.loads(rows[1]["data"]), {"text": 'a, "b"'})
        lines = self.ok("events", store).out.splitlines()[before:]
        self.assertEqual(len(lines), 2)
        self.assertIn("2020-01-01", lines[0])
        self.assertIn("dropped", lines[0])
        self.assertEqual(self.json_of("info", store)["events"], before + 2)

    def test_stores_without_events(self):
        self.assertEqual(self.lines_of("events", GOLDEN / "npy-gray"), [])
        self.assertEqual(self.ok("events", GOLDEN / "npy-gray", "--csv").out, "time,kind,frame_index,data\n")
        # Indexes of early versions have no such table.
        store = self.save_stack(numbered_stack(3), "store", "--format", "npy")
        database = sqlite3.connect(store / "index.sqlite")
        database.execute("DROP TABLE events")
        database.commit()
        database.close()
        self.assertEqual(self.lines_of("events", store), [])
        self.assertEqual(self.json_of("info", store)["events"], 0)

    def test_no_store(self):
        self.assert_refused(run("events", self.folder), 1, "not a store")


class Signals(Recorded):
    def test_a_signal_closes_the_recording(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            for options in (("--format", "npy"), ()):
                with self.subTest(signal=number.name, options=options):
                    shutil.rmtree(self.store, ignore_errors=True)
                    recording = self.record(20 * RATE, *options)
                    recording.send_signal(number)
                    self.assertEqual(recording.wait(WAIT), INTERRUPTED)
                    info = self.json_of("info", self.store)
                    self.assertIs(info["closed"], True)
                    self.assertIs(info["recording"], False)
                    self.assertGreater(info["frame_count"], 0)
                    numbers = [read_number(image) for image in self.extracted(self.store)]
                    self.assertEqual(numbers, list(range(info["frame_count"])))
                    listed = 0
                    for sidecar in self.store.rglob("*.npz"):
                        with numpy.load(sidecar) as members:
                            listed += len(members["frame_number"])
                    self.assertEqual(listed, info["frame_count"])

    def test_a_program_started_to_outlive_its_terminal_does(self):
        nohup = shutil.which("nohup")
        if not nohup:
            self.skipTest("no nohup")
        numpy.save(self.folder / "stack.npy", numbered_stack(RATE))
        self.ok("save", self.folder / "stack.npy", self.folder / "source", "--format", "npy", "--time", f"fps:{RATE}")
        recording = subprocess.Popen([nohup, *command("save", self.folder / "source", self.store, "--realtime",
                                                      "--format", "npy")],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(self.end, recording)
        deadline = time.monotonic() + WAIT
        while not (self.store / ".lock").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        recording.send_signal(signal.SIGHUP)
        self.assertEqual(recording.wait(WAIT), DONE)
        self.assertEqual(self.json_of("info", self.store)["frame_count"], RATE)


class FollowView(Recorded):
    @staticmethod
    def environment():
        """No window has to be seen for these tests."""
        kept = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
        return dict(kept, QT_QPA_PLATFORM="offscreen")

    def test_view_ends_with_the_recording(self):
        recording = self.record(2 * RATE, "--format", "npy")
        viewer = run("view", self.store, "--follow", env=self.environment(), timeout=60)
        self.assertEqual(recording.wait(2), DONE)
        self.assertEqual(viewer.code, DONE, viewer.err)

    def test_view_of_a_recording_whose_writer_is_killed(self):
        recording = self.record(20 * RATE, "--format", "npy")
        viewer = subprocess.Popen(command("view", self.store, "--follow"), env=self.environment(),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(self.end, viewer)
        time.sleep(1.5)
        self.assertIsNone(viewer.poll(), "it should wait for more")
        recording.kill()
        self.assertEqual(viewer.wait(WAIT), DONE)
        self.assertIn("ended without being closed", viewer.stderr.read().decode())


if __name__ == "__main__":
    unittest.main()
