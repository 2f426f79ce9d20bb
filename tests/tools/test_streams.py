"""`store extract` to standard output, and when the frames of an extracted video are shown."""
import io
import os
import pathlib
import pty
import shutil
import signal
import subprocess
import tempfile
import unittest

import numpy

from store_program import (DONE, FAILED, INTERRUPTED, USAGE, StoreTestCase, command, numbered_stack, read_number, run)

COUNT = 40
HEIGHT, WIDTH = 48, 64
#: When the frames of a video with pauses begin, in milliseconds.
PAUSED = [40 * i + 333 * (i // 10) for i in range(COUNT)]


def decoded(data, height=HEIGHT, width=WIDTH):
    """The frames that ffmpeg makes of what it reads from a pipe, in gray."""
    done = subprocess.run(["ffmpeg", "-v", "error", "-i", "pipe:", "-fps_mode", "passthrough", "-f", "rawvideo",
                           "-pix_fmt", "gray", "-"], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60, check=True)
    assert done.stderr == b"", done.stderr
    return numpy.frombuffer(done.stdout, numpy.uint8).reshape(-1, height, width)


def probe(path, entries, *more):
    done = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", entries, "-of",
                           "csv=p=0", *more, str(path)], stdout=subprocess.PIPE, timeout=60, check=True)
    return [line.strip(",") for line in done.stdout.decode().split()]


@unittest.skipUnless(shutil.which("ffmpeg"), "ffmpeg is not installed")
class Streams(StoreTestCase):
    @classmethod
    def setUpClass(cls):
        cls.images = numbered_stack(COUNT, HEIGHT, WIDTH)
        cls.shared = pathlib.Path(tempfile.mkdtemp(prefix="store_test_"))
        cls.addClassCleanup(shutil.rmtree, cls.shared, ignore_errors=True)
        numpy.save(cls.shared / "images.npy", cls.images)
        cls.store = cls.shared / "store"
        saved = run("save", cls.shared / "images.npy", cls.store, "--time", "fps:25", "--format", "npy",
                    "--chunk-frames", 15)
        assert saved.code == DONE, saved.err
        numpy.save(cls.shared / "large.npy", numbered_stack(30, 240, 320))
        cls.large = cls.shared / "large.npy"

    def paused_video(self):
        path = self.folder / "paused.mkv"
        subprocess.run(["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}", "-i",
                        "-", "-vf", "settb=1/1000,setpts=N*40+floor(N/10)*333", "-fps_mode", "passthrough",
                        "-enc_time_base", "1/1000", "-c:v", "ffv1", str(path)],
                       input=self.images.tobytes(), timeout=60, check=True)
        return path

    def streamed(self, *options, store=None, code=DONE):
        return self.ok("extract", store or self.store, "-", *options, binary=True, code=code)

    def test_video_through_a_pipe(self):
        for kind, options in (("mp4", ("--set", "bframes=2", "--set", "pix_fmt=yuv444p")),
                              ("mov", ("--set", "encoder=ffv1")), ("mkv", ()), ("webm", ()), ("y4m", ())):
            result = self.streamed("--to", kind, *options)
            numbers = [read_number(frame) for frame in decoded(result.out)]
            self.assertEqual(numbers, list(range(COUNT)), kind)
            self.assertIn(f"{COUNT} frames written to standard output", result.err)

    def test_exact_kinds(self):
        raw = self.streamed("--to", "rawvideo", "--index", "5:25")
        self.assertEqual(raw.out, self.images[5:25].tobytes())
        self.assertIn("(20, 48, 64)", raw.err)
        self.assertTrue(numpy.array_equal(decoded(self.streamed("--to", "y4m").out), self.images))
        array = self.streamed("--to", "npy", "--index", "::3").out
        self.assertTrue(numpy.array_equal(numpy.load(io.BytesIO(array)), self.images[::3]))
        self.ok("extract", self.store, self.folder / "a.gif", "--index", ":5")
        gif = self.streamed("--to", "gif", "--index", ":5").out
        self.assertEqual(gif, (self.folder / "a.gif").read_bytes())

    def test_sixteen_bits_and_colour(self):
        deep = numbered_stack(6, HEIGHT, WIDTH, dtype=numpy.uint16)
        store = self.folder / "deep.npy"
        numpy.save(store, deep)
        self.assertEqual(self.streamed("--to", "rawvideo", store=store).out, deep.tobytes())
        y4m = self.streamed("--to", "y4m", store=store).out
        self.assertIn(b" Cmono16 ", y4m[:100])
        gray = subprocess.run(["ffmpeg", "-v", "error", "-i", "pipe:", "-f", "rawvideo", "-pix_fmt", "gray16le", "-"],
                              input=y4m, stdout=subprocess.PIPE, timeout=60, check=True).stdout
        self.assertEqual(gray, deep.tobytes())
        colour = numbered_stack(6, HEIGHT, WIDTH, channels=3)
        store = self.folder / "colour.npy"
        numpy.save(store, colour)
        self.assertEqual(self.streamed("--to", "rawvideo", "--set", "pix=rgb", store=store).out,
                         colour[..., ::-1].tobytes())

    def test_lists_beside_a_stream(self):
        chosen = range(5, 35, 3)
        self.streamed("--to", "mp4", "--index", "5:35:3", "--list", self.folder / "list.csv", "--timecodes",
                      self.folder / "times.txt", store=self.paused_video())
        lines = (self.folder / "list.csv").read_text().splitlines()
        self.assertEqual([int(line.split(",")[1]) for line in lines[1:]], list(chosen))
        times = (self.folder / "times.txt").read_text().splitlines()
        self.assertEqual(times, ["# timecode format v2", *[f"{PAUSED[index] - PAUSED[5]:.3f}" for index in chosen]])

    def test_timecodes_of_a_store(self):
        rows = self.lines_of("frames", self.store)
        self.ok("extract", self.store, self.folder / "a.npy", "--timecodes", self.folder / "times.txt")
        times = (self.folder / "times.txt").read_text().splitlines()
        self.assertEqual(times[1:], [f"{(row['time'] - rows[0]['time']) * 1e3:.3f}" for row in rows])

    def test_true_times(self):
        source = self.paused_video()
        for kind in ("mp4", "mkv", "webm", "mov"):
            path = self.folder / f"a.{kind}"
            self.ok("extract", source, path, "--times", "true")
            shown = [float(text) for text in probe(path, "frame=best_effort_timestamp_time")]
            self.assertEqual(len(shown), COUNT)
            for time, expected in zip(shown, PAUSED):
                self.assertAlmostEqual((time - shown[0]) * 1e3, expected, delta=1.01)
        constant = self.folder / "constant.mp4"
        self.ok("extract", source, constant, "--fps", "25")
        shown = [float(text) for text in probe(constant, "frame=best_effort_timestamp_time")]
        self.assertAlmostEqual(shown[-1], (COUNT - 1) * 0.04, delta=0.001)

    def test_rates_and_kinds_of_files(self):
        path = self.folder / "clip.bin"
        self.ok("extract", self.store, path, "--to", "webm", "--fps", "24000/1001")
        self.assertEqual(probe(path, "stream=codec_name,r_frame_rate"), ["vp9,24000/1001"])
        self.ok("extract", self.store, self.folder / "a.mov", "--set", "frame_rate=30000/1001")
        self.assertEqual(probe(self.folder / "a.mov", "stream=codec_name,r_frame_rate"), ["h264,30000/1001"])
        result = run("extract", self.store, self.folder / "b.mov", "--fps", "1/0")
        self.assert_refused(result, USAGE, "24000/1001")

    def test_refusals(self):
        self.assert_refused(run("extract", self.store, "-"), USAGE, "--to")
        self.assert_refused(run("extract", self.store, "-", "--to", "avi"), FAILED, "avi", "mkv")
        self.assert_refused(run("extract", self.store, "-", "--to", "png"), USAGE, "rawvideo", "webm")
        self.assert_refused(run("extract", self.store, self.folder / "a_{:02d}.png", "--to", "mp4"), USAGE, "one file")
        self.assert_refused(run("extract", self.store, self.folder / "a.npy", "--list", self.folder / "a.npy"), USAGE,
                            "two outputs")
        self.assert_refused(run("extract", self.store, self.folder / "a.avi", "--times", "true"), FAILED, ".mkv")
        self.assert_refused(run("extract", self.store, "-", "--to", "mp4", "--index", "5:5"), FAILED, "no frame")

    def test_terminal(self):
        ours, theirs = pty.openpty()
        done = subprocess.run(command("extract", self.store, "-", "--to", "mp4"), stdin=subprocess.DEVNULL,
                              stdout=theirs, stderr=subprocess.PIPE, timeout=60)
        os.close(ours)
        os.close(theirs)
        self.assertEqual(done.returncode, USAGE)
        self.assertIn(b"terminal", done.stderr)

    def test_reader_that_goes_away(self):
        for kind in ("rawvideo", "mkv"):
            options = ("--set", "encoder=ffv1") if kind == "mkv" else ()
            with subprocess.Popen(command("extract", self.large, "-", "--to", kind, *options), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                process.stdout.read(1000)
                process.stdout.close()
                message = process.stderr.read().decode()
                self.assertEqual(process.wait(60), FAILED, message)
            self.assertIn("closed it", message)
            self.assertNotIn("unexpected", message)

    def test_interrupted_stream_is_valid(self):
        for kind in ("mp4", "mkv"):
            options = ("--set", "encoder=mjpeg", "--set", "quality=1")
            with subprocess.Popen(command("extract", self.large, "-", "--to", kind, *options), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                begin = process.stdout.read(1000)
                process.send_signal(signal.SIGINT)
                data = begin + process.stdout.read()
                message = process.stderr.read().decode()
                self.assertIn(process.wait(60), (DONE, INTERRUPTED), message)
            numbers = [read_number(frame) for frame in decoded(data, 240, 320)]
            self.assertGreater(len(numbers), 0)
            self.assertEqual(numbers, list(range(len(numbers))))

    @unittest.skipUnless(shutil.which("strace"), "strace is not installed")
    def test_no_file_is_made(self):
        log = self.folder / "calls"
        done = subprocess.run(["strace", "-f", "-qq", "-o", str(log), "-e", "trace=open,openat,creat,memfd_create,mkdir",
                               *command("extract", self.store, "-", "--to", "mp4")], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        if b"ptrace" in done.stderr:
            self.skipTest("strace may not trace here")
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.assertEqual(len(decoded(done.stdout)), COUNT)
        calls = log.read_text().splitlines()
        self.assertTrue(any("metadata.yaml" in call for call in calls))
        self.assertEqual([call for call in calls if "O_CREAT" in call or "creat(" in call or "mkdir(" in call or
                          "memfd_create(" in call], [])


if __name__ == "__main__":
    unittest.main()
