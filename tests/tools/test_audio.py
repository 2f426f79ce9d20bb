"""Sound beside extracted frames, read back by ffmpeg and ffprobe."""
import json
import pathlib
import shutil
import subprocess
import tempfile
import unittest
import wave

import numpy

from store_program import DATA_LOST, DONE, FAILED, USAGE, StoreTestCase, run

RATE = 48000
BEEP_SECONDS = 0.03
# AAC smears what begins suddenly; containers count milliseconds.
TOLERANCE = 0.006


def pitch(second):
    return 1000 + 150 * second


def beeps(seconds, rate=RATE):
    """A beep of 30 ms at the beginning of each second, whose pitch tells the second."""
    sound = numpy.zeros(int(seconds * rate))
    for second in range(int(seconds)):
        time = numpy.arange(int(BEEP_SECONDS * rate)) / rate
        sound[second * rate:second * rate + time.size] = 0.8 * numpy.cos(2 * numpy.pi * pitch(second) * time)
    return sound


def write_wav(path, sound, rate=RATE, channels=2):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(numpy.repeat((sound * 32767).astype("<i2"), channels).tobytes())


def ffmpeg(*arguments, **options):
    return subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)], check=True,
                          stdout=subprocess.PIPE, **options).stdout


def heard(path):
    """{second: when it is heard}, on the clock of the file, as ffmpeg plays it."""
    raw = ffmpeg("-copyts", "-i", path, "-map", "0:a", "-af", "aresample=48000:async=1:first_pts=0", "-ac", "1", "-f", "f32le",
                 "-")
    sound = numpy.frombuffer(raw, "<f4")
    loud = numpy.flatnonzero(numpy.abs(sound) > 0.3)
    starts = loud[numpy.flatnonzero(numpy.diff(loud, prepend=-RATE) > RATE // 5)]
    result = {}
    for start in starts:
        piece = sound[start:start + int(0.025 * RATE)]
        if piece.size < int(0.025 * RATE):
            continue
        rises = numpy.count_nonzero((piece[:-1] < 0) & (piece[1:] >= 0))
        result[round((rises / 0.025 - pitch(0)) / 150)] = start / RATE
    return result


def shown(path):
    """When each frame is shown."""
    out = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time", "-of",
                          "csv=p=0", str(path)], check=True, stdout=subprocess.PIPE, text=True).stdout
    return sorted(float(line.strip(",")) for line in out.split())


def streams(path):
    out = subprocess.run(["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    return {stream["codec_type"]: stream["codec_name"] for stream in json.loads(out)["streams"]}


class AudioTest(StoreTestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = pathlib.Path(tempfile.mkdtemp(prefix="store_audio_"))
        cls.addClassCleanup(shutil.rmtree, cls.shared, ignore_errors=True)
        cls.sound = cls.shared / "sound.wav"
        write_wav(cls.sound, beeps(9))
        # Ten frames a second of which some were lost, and that are never quite regular.
        lost = "not(between(n,20,44))*mod(n+2,7)"
        cls.times = [slot / 10 + 0.004 * (slot % 5) for slot in range(80) if not 20 <= slot <= 44 and (slot + 2) % 7]
        source = cls.shared / "source.mkv"
        ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x32:r=10:d=8", "-vf",
               f"settb=1/1000,setpts=N*100+4*mod(N\\,5),select='{lost}'", "-vsync", "passthrough", "-enc_time_base", "1:1000", "-c:v", "libx264",
               "-metadata", "creation_time=2026-11-20T09:00:00Z", source)
        cls.store = cls.shared / "store"
        saved = run("save", source, cls.store)
        assert saved.code == DONE, saved.err
        # A video with sound that begins 0.4 s after the frames, made by others.
        cls.video = cls.shared / "video.mp4"
        ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x32:r=10:d=8", "-itsoffset", "0.4", "-i", cls.sound, "-t", "8",
               "-c:v", "libx264", "-g", "5", "-c:a", "aac", cls.video)

    def check_in_step(self, path, times, sound_begin, message=""):
        """Frames at `times` and beeps at sound_begin + second, both on the clock of the recording."""
        expected = [time - times[0] for time in times]
        numpy.testing.assert_allclose(shown(path), expected, atol=0.0011, err_msg=message)
        found = heard(path)
        for second, at in found.items():
            self.assertAlmostEqual(at, sound_begin + second - times[0], delta=TOLERANCE, msg=message)
        inside = {second for second in range(9) if 0.05 < sound_begin + second - times[0] < expected[-1] - 0.05}
        self.assertGreaterEqual(len(inside), 2)
        self.assertLessEqual(inside, set(found), message)

    def test_wav_beside_a_store_with_lost_frames(self):
        for name, codec in (("out.mp4", "aac"), ("out.mkv", "pcm_s16le"), ("out.mov", "pcm_s16le"),
                            ("out.webm", "opus")):
            out = self.folder / name
            self.ok("extract", self.store, out, "--audio", self.sound, "--audio-start", "2026-11-20T08:59:58.750")
            self.assertEqual(streams(out)["audio"], codec)
            self.check_in_step(out, self.times, -1.25, name)
        later = self.folder / "later.mp4"
        self.ok("extract", self.store, later, "--index", "5:", "--audio", self.sound)
        self.check_in_step(later, self.times[5:], 0)

    def test_sound_of_a_video_is_copied(self):
        regular = [slot / 10 for slot in range(80)]
        clip = self.folder / "clip.mp4"
        done = self.ok("extract", self.video, clip, "--time", "2.5..6.5", "--audio", "source")
        self.assertIn("aac, copied", done.err)
        self.assertEqual(streams(clip)["audio"], "aac")
        self.check_in_step(clip, regular[25:65], 0.4)
        some = self.folder / "some.mkv"
        self.ok("extract", self.video, some, "--index", "3::4", "--audio", "source")
        self.check_in_step(some, regular[3::4], 0.4)
        even = self.folder / "even.avi"
        self.ok("extract", self.video, even, "--index", "10:", "--audio", "source")
        self.assertEqual(streams(even)["audio"], "pcm_s16le")
        self.check_in_step(even, regular[10:], 0.4)

    def test_frames_without_times_at_a_given_rate(self):
        numpy.save(self.folder / "stack.npy", numpy.zeros((60, 32, 64), numpy.uint8))
        out = self.folder / "out.mp4"
        self.ok("extract", self.folder / "stack.npy", out, "--index", "10:", "--fps", "10", "--audio", self.sound,
                "--audio-start", "0.25")
        self.check_in_step(out, [slot / 10 for slot in range(10, 60)], 0.25)

    def test_to_a_pipe(self):
        for kind in ("mp4", "mkv"):
            out = self.folder / f"piped.{kind}"
            done = self.ok("extract", self.video, "-", "--to", kind, "--audio", "source", binary=True)
            out.write_bytes(done.out)
            self.check_in_step(out, [slot / 10 for slot in range(80)], 0.4, kind)

    def test_what_cannot_be_in_step_is_refused(self):
        for words, arguments in (
                (["frames only", "--audio FILE"], [self.store, "out.mp4", "--audio", "source"]),
                (["off its time", "--times true"], [self.store, "out.avi", "--audio", self.sound]),
                (["off its time"], [self.store, "out.mp4", "--audio", self.sound, "--fps", "10"]),
                (["ends", "before the first"],
                 [self.store, "out.mp4", "--audio", self.sound, "--audio-start", "2026-11-20T08:00"]),
                (["begins", "after the last"],
                 [self.store, "out.mp4", "--audio", self.sound, "--audio-start", "2026-11-20T09:30"]),
                (["--audio FILE"], [self.store, "out.mp4", "--audio-start", "2026-11-20T09:00"]),
                (["not a date"],
                 [self.video, "out.mp4", "--audio", self.sound, "--audio-start", "2026-11-20T09:00"])):
            self.assert_refused(run("extract", *arguments, cwd=self.folder), USAGE, *words)
        silent = self.shared / "source.mkv"
        for words, arguments in (
                (["holds no sound"], [silent, "out.mp4", "--audio", "source"]),
                (["not a sound file"], [silent, "out.mp4", "--audio", __file__]),
                (["avi", ".mkv"], [self.video, "out.avi", "--audio", "source", "--times", "true"]),
                (["gif", "sound"], [self.video, "out.gif", "--audio", "source"]),
                (["y4m", "sound"], [self.video, "out.y4m", "--audio", "source"]),
                (["no such file"], [silent, "out.mp4", "--audio", "nothing.wav"])):
            self.assert_refused(run("extract", *arguments, cwd=self.folder), FAILED, *words)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_damaged_sound_costs_no_frame(self):
        damaged = self.folder / "damaged.flac"
        ffmpeg("-i", self.sound, damaged)
        data = bytearray(damaged.read_bytes())
        for place in range(len(data) * 2 // 5, len(data) * 3 // 5):
            data[place] = place * 31 % 251
        damaged.write_bytes(data)
        out = self.folder / "out.mp4"
        done = self.ok("extract", self.store, out, "--audio", damaged, code=DATA_LOST)
        self.assertIn("damaged", done.err)
        self.assertEqual(len(shown(out)), len(self.times))
        found = heard(out)
        self.assertLessEqual({0, 5, 6, 7}, set(found))
        for second, at in found.items():
            self.assertAlmostEqual(at, second, delta=TOLERANCE)


if __name__ == "__main__":
    unittest.main()
