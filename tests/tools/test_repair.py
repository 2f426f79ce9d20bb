"""`store verify` and `store repair`: stores of killed writers, imgstore's and our own."""
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import time
import unittest

import cv2

from store_program import (DATA_LOST, DONE, FAILED, GOLDEN, USAGE, StoreTestCase, command, decode_video, hash_of_tree,
                           numbered_stack, read_number, run)


def boxes(data):
    """Name -> (offset, size) of the boxes of an mp4."""
    found, offset = {}, 0
    while offset + 8 <= len(data):
        size, = struct.unpack_from(">I", data, offset)
        found[data[offset + 4:offset + 8].decode("latin-1")] = (offset, size)
        offset += max(size, 8)
    return found


def end_mp4(path, keep=1.0):
    """Makes of a complete mp4 what its writer leaves when it is killed: no moov, and a size that is not filled in."""
    data = bytearray(path.read_bytes())
    offset, size = boxes(data)["mdat"]
    struct.pack_into(">I", data, offset, 0)
    path.write_bytes(data[:offset + 8 + int((size - 8) * keep)])


class KilledImgstore(StoreTestCase):
    def copy_of(self, name):
        store = self.folder / name
        shutil.copytree(GOLDEN / name, store)
        return store, json.loads((GOLDEN / f"{name}.expect.json").read_text())

    def assert_frames(self, store, expected, count, first_guess):
        """Frames before `first_guess` are exactly those of the recording, those behind it guesses at the same pace."""
        frames = self.lines_of("frames", store)
        self.assertEqual(len(frames), count)
        pixels = self.extracted(store)
        for i, frame in enumerate(frames):
            self.assertEqual(read_number(pixels[i]), i)
            self.assertEqual(frame["number"], expected["frame_numbers"][i])
            if i < first_guess:
                self.assertEqual(frame["time"], expected["frame_times"][i])
            else:
                self.assertAlmostEqual(frame["time"], expected["frame_times"][i], delta=0.01)

    def assert_repaired(self, store):
        self.assertEqual(self.json_of("repair", store)["actions"], [])
        again = self.json_of("repair", store, "--apply")
        self.assertEqual((again["actions"], again["problems"], again["data_lost"]), ([], [], False))
        for level in ("presence", "size", "frames", "hash"):
            report = self.json_of("verify", store, "--level", level)
            self.assertFalse(report["damaged"], report)
            self.assertIn("times_synthetic", [finding["code"] for finding in report["findings"]])

    def test_last_chunk_of_every_kind(self):
        for name, last in [("avc1_mp4-gray", "000002.mp4"), ("avc1_mp4-color", "000002.mp4"),
                           ("h264_mkv-gray", "000002.mkv"), ("mjpeg_avi-gray", "000002.avi"),
                           ("png-gray", "000002"), ("npy-uint16", "000001")]:
            with self.subTest(name):
                store, expected = self.copy_of(name)
                count = len(expected["frame_numbers"])
                chunk = store / last
                if chunk.is_dir():
                    for sidecar in ("index.npz", "index.extra.json"):
                        (chunk / sidecar).unlink(missing_ok=True)
                    first = count - len(list(chunk.iterdir()))
                else:
                    chunk.with_suffix(".npz").unlink()
                    first = count - len(decode_video(chunk))
                    if chunk.suffix == ".mp4":
                        end_mp4(chunk)
                        self.assertEqual(decode_video(chunk), [])
                before = hash_of_tree(store)
                self.assertIn("sidecar_missing", [f["code"] for f in self.json_of("verify", store, code=DATA_LOST)["findings"]])
                plan = self.json_of("repair", store)
                self.assertEqual([action["kind"] for action in plan["actions"]], ["salvage"])
                self.assertEqual(hash_of_tree(store), before)
                result = self.ok("repair", store, "--apply", code=DATA_LOST)
                self.assertIn("loses numbers and times", result.out)
                self.assert_frames(store, expected, count, first)
                if not chunk.is_dir():
                    self.assertEqual(len(decode_video(chunk)), count - first)
                    capture = cv2.VideoCapture(str(chunk))
                    self.assertEqual(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), count - first)
                    capture.release()
                if chunk.suffix == ".mp4":
                    self.assertTrue(pathlib.Path(f"{chunk}.before_repair").exists())
                # imgstore goes by these names.
                known = {"metadata.yaml"} | {p.name for p in (GOLDEN / name).iterdir()}
                for path in store.iterdir():
                    if path.name not in known:
                        self.assertNotEqual(path.suffix, chunk.suffix or None, path)
                        self.assertFalse(path.is_dir(), path)
                self.assert_repaired(store)

    def test_torn_last_frames(self):
        for name, last in [("avc1_mp4-gray", "000001.mp4"), ("h264_mkv-gray", "000001.mkv"), ("mjpeg_avi-gray", "000001.avi")]:
            with self.subTest(name):
                store, expected = self.copy_of(name)
                for path in store.glob("000002.*"):
                    path.unlink()
                chunk = store / last
                chunk.with_suffix(".npz").unlink()
                if chunk.suffix == ".mp4":
                    end_mp4(chunk, 0.8)
                else:
                    os.truncate(chunk, int(chunk.stat().st_size * 0.8))
                result = self.json_of("repair", store, "--apply", code=DATA_LOST)
                self.assertIn("cut off", result["actions"][0]["loses"])
                frames = self.lines_of("frames", store)
                self.assertGreater(len(frames), 10)
                self.assertLess(len(frames), 20)
                numbers = [read_number(image) for image in self.extracted(store)]
                # Frames are coded in another order than they are shown in: the last ones may be missing in between.
                self.assertEqual(numbers, sorted(set(numbers)))
                self.assertEqual(numbers[:10], list(range(10)))
                self.assert_repaired(store)

    def test_torn_image(self):
        store, expected = self.copy_of("png-gray")
        chunk = store / "000002"
        (chunk / "index.npz").unlink()
        images = sorted(chunk.glob("*.png"))
        os.truncate(images[-1], 40)
        self.ok("repair", store, "--apply", code=DATA_LOST)
        self.assertFalse(images[-1].exists())
        self.assertEqual(self.json_of("info", store)["frame_count"], len(expected["frame_numbers"]) - 1)
        self.assert_repaired(store)

    def test_extra_data_without_its_end_tell_numbers_and_times(self):
        store, expected = self.copy_of("avc1_mp4-color")
        (store / "000001.npz").unlink()
        end_mp4(store / "000001.mp4")
        extra = store / "000001.extra.json"
        text = extra.read_text()
        extra.write_text(text[:-1])
        self.ok("repair", store, "--apply", code=DATA_LOST)
        self.assertEqual(json.loads(extra.read_text()), json.loads(text))
        frames = self.lines_of("frames", store)
        for record in json.loads(text):
            frame = frames[record["frame_index"]]
            self.assertEqual((frame["number"], frame["time"]), (record["frame_number"], record["frame_time"]))
        self.assert_repaired(store)

    def test_no_sibling(self):
        store, _ = self.copy_of("avc1_mp4-wrap")
        chunk = store / "000000.mp4"
        other = self.folder / "other.mp4"
        shutil.copy(chunk, other)
        end_mp4(chunk)
        (store / "000000.npz").unlink()
        before = hash_of_tree(store)
        result = self.ok("repair", store, "--apply", code=DATA_LOST)
        self.assertIn("--like", result.out)
        self.assertEqual(hash_of_tree(store), before)
        self.ok("repair", store, "--apply", "--like", other, code=DATA_LOST)
        self.assertEqual([read_number(image) for image in self.extracted(store)], list(range(6)))

    def test_mp4_without_end_whose_times_are_there(self):
        store, expected = self.copy_of("avc1_mp4-gray")
        end_mp4(store / "000001.mp4")
        self.assertEqual(self.json_of("verify", store, code=DATA_LOST)["findings"][0]["code"], "container_incomplete")
        self.assertFalse(self.json_of("repair", store, "--apply")["data_lost"])
        self.assert_frames(store, expected, len(expected["frame_numbers"]), 10 ** 6)
        self.assertEqual(self.json_of("verify", store, "--level", "frames")["damaged"], False)


class KilledRecording(StoreTestCase):
    """A recording of our own program, killed while it runs."""

    def kill_while_recording(self, store, *options):
        source = self.folder / "source"
        if not source.exists():
            self.save_stack(numbered_stack(3000), "source", "--format", "npy", times="fps:200")
        process = subprocess.Popen(command("save", source, store, "--realtime", *options),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                info = run("info", store, "--json")
                if info.code == DONE and json.loads(info.out)["frame_count"] > 120:
                    break
                time.sleep(0.05)
            report = self.json_of("verify", store)
            self.assertIn("being_written", [finding["code"] for finding in report["findings"]])
            self.assert_refused(run("repair", store), FAILED, "being written")
            self.assert_refused(run("repair", store, "--apply"), FAILED, "being written")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def test_repaired_store_is_complete(self):
        for format_name in ("avc1/mp4", "h264/mkv", "mjpeg/avi", "png"):
            with self.subTest(format_name):
                store = self.folder / format_name.replace("/", "_")
                self.kill_while_recording(store, "--format", format_name, "--chunk-frames", "50")
                committed = self.json_of("info", store)["frame_count"]
                codes = [f["code"] for f in self.json_of("verify", store, "--level", "hash", code=DATA_LOST)["findings"]]
                self.assertIn("open", codes)
                rows = self.lines_of("frames", store)
                self.ok("repair", store, "--apply")
                self.assertEqual(self.lines_of("frames", store), rows)
                self.assertEqual([read_number(image) for image in self.extracted(store)], list(range(committed)))
                self.assertTrue(self.json_of("info", store)["closed"])
                for media in sorted(store.glob("*.m[pk][4v]")) + sorted(store.glob("*.avi")):
                    chunk_rows = [row for row in rows if row["chunk"] == int(media.stem)]
                    self.assertEqual(len(decode_video(media)), len(chunk_rows))
                self.assertEqual(self.json_of("verify", store, "--level", "frames")["damaged"], False)
                self.assertEqual(self.json_of("verify", store, "--level", "hash")["damaged"], False)
                self.assertEqual(self.json_of("repair", store)["actions"], [])


class CommandLine(StoreTestCase):
    def test_price_is_said_before_the_dear_levels(self):
        store = self.save_stack(numbered_stack(20))
        self.assertIn("decoding 20 frames", self.ok("verify", store, "--level", "frames").err)
        self.assertIn("reading", self.ok("verify", store, "--level", "hash").err)
        self.assertNotIn("reading", self.ok("verify", store).err)
        self.assertEqual(self.ok("verify", store).out, "")

    def test_findings_are_lines(self):
        store = self.save_stack(numbered_stack(20))
        (store / "000000.npz").unlink()
        result = self.ok("verify", store, code=DATA_LOST)
        self.assertEqual(len(result.out.splitlines()), 1)
        self.assertIn("000000.npz: chunk 0: frame 0: is missing", result.out)
        self.assertIn("store repair", result.out)
        self.assertIn("nothing was changed", self.ok("repair", store).err)
        self.assertFalse((store / "000000.npz").exists())
        self.ok("repair", store, "--apply")
        self.ok("verify", store)
        self.assertIn("there is nothing to do", self.ok("repair", store).err)

    def test_refused(self):
        self.assert_refused(run("verify", self.folder), FAILED, "metadata.yaml")
        self.assert_refused(run("repair", self.folder, "--apply"), FAILED, "metadata.yaml")
        self.assertEqual(list(self.folder.iterdir()), [])
        store = self.save_stack(numbered_stack(3))
        self.assertEqual(run("verify", store, "--level", "all").code, USAGE)
        self.assertEqual(run("repair", store, "--only", "everything").code, USAGE)
        self.assertEqual(run("repair", store, "--chunk", "-1").code, USAGE)

    def test_damaged_metadata(self):
        store = self.save_stack(numbered_stack(3))
        (store / "metadata.yaml").write_text("{")
        report = self.json_of("verify", store, code=DATA_LOST)
        self.assertEqual([finding["code"] for finding in report["findings"]], ["metadata_damaged"])


if __name__ == "__main__":
    unittest.main()
