"""Recordings of the cameras MiCAM05 and MiCAM ULTIMA and of the program HIRIS, made number by number with numpy."""
import json
import struct
import unittest

import numpy

from store_program import DATA_LOST, FAILED, StoreTestCase, hash_of_pixels, numbered_stack, run


def difference(images, background):
    """What the cameras keep: 16 bits, running over."""
    return (images - background).astype(numpy.uint16).view(numpy.int16)


def write_micam05(folder, images, background, analog, start=972, name="heart", useful=None):
    """`analog` is (channels, frames, samples). The description says nothing of the images' beginning."""
    frames, rows, columns = images.shape
    left, top, useful_columns, useful_rows = useful or (0, 0, columns, rows)
    header = bytearray(start)
    header[:4] = b"rat7"
    struct.pack_into("<6h", header, 256, columns, rows, left, top, useful_columns, useful_rows)
    struct.pack_into("<H", header, 268, frames)
    struct.pack_into("<f", header, 284, 0.5)
    struct.pack_into("<2h", header, 328, analog.shape[0], analog.shape[2])
    (folder / f"{name}.gsd").write_bytes(bytes(header) + background.astype("<u2").tobytes() +
                                         difference(images, background).astype("<i2").tobytes() +
                                         analog.astype("<i2").tobytes())
    (folder / f"{name}.gsh").write_bytes(
        f"Number of frames : {frames}\r\nImage width : {columns}\r\nImage height : {rows}\r\n"
        "Frame rate (Hz) : 2000.0\r\nDate created : 05/03/2019 14:07:09\r\n"
        "Comment : at 14:10: drug\r\n".encode())
    return folder / f"{name}.gsd"


def write_ultima(folder, images, inputs, dual=False, title="x M", block=256, name="heart"):
    """128 columns of which 20 and 8 are no image; `inputs` is (frames, 3, 20): analog 1, analog 2, stimulus."""
    frames, rows, columns = images.shape
    assert (rows, columns) == (100, 100)
    background = numbered_stack(1, 100, 100, dtype=numpy.uint16, first=44444)[0]
    backgrounds = numpy.stack([background, images[1]] if dual else [background])
    stored = numpy.zeros((frames, 100, 128), numpy.int16)
    for frame in range(frames):
        camera = frame % len(backgrounds)
        # The first frame of each camera is the image itself.
        whole = images[frame].view(numpy.int16)
        stored[frame, :, 20:120] = (whole if frame < len(backgrounds) else
                                    difference(images[frame], backgrounds[camera]))
        for column, samples in zip((12, 14, 8), inputs[frame]):
            stored[frame, :80:4, column] = samples
    whole_background = numpy.zeros((100, 128), "<u2")
    whole_background[:, 20:120] = background
    (folder / f"{name}.rsm").write_bytes(whole_background.tobytes())
    files = []
    for number, first in enumerate(range(0, frames, block)):
        files.append(f"{name}({number}).rsd")
        (folder / files[-1]).write_bytes(stored[first:first + block].astype("<i2").tobytes())
    lines = [title, "x=128/y=100/lskp=20/rskp=8/", f"blk={block}/gain=2/", "acquisition_date=2019/03/05 14:07:09",
             f"page_frames={frames}", "sample_time=1.0msec", f"dual_cam={int(dual)}", "cmnt=dose=3 mg",
             "Data-File-List", f"{name}.rsm", *files, ""]
    (folder / f"{name}.rsh").write_bytes("\r\n".join(lines).encode())
    return folder / f"{name}.rsh"


def write_hiris(folder, images, times, per_bin=4, name="flies"):
    """Times in milliseconds."""
    frames, rows, columns = images.shape
    records = b""
    for number, first in enumerate(range(0, frames, per_bin)):
        part = images[first:first + per_bin]
        (folder / f"Trial_{number:05d}.bin").write_bytes(part.tobytes())
        for place in range(len(part)):
            records += struct.pack("<iidii", place * part[0].nbytes, 0, times[first + place] * 1e3, number, 0)
    (folder / f"{name}.sqb").write_bytes(records)
    (folder / f"{name}.seq").write_text(
        f"[Sequence Settings]\nNumber of files={frames}\nWidth={columns}\nHeight={rows}\n"
        f"BytesPerPixel={images.itemsize}\nBin File=Trial_\nFramePerSecond=250\nComment=a = b\n")
    return folder / f"{name}.seq"


class ForeignFileTestCase(StoreTestCase):
    def check_frames(self, path, images, *options, numbers=None):
        """All frames in order, and one by its place."""
        numpy.testing.assert_array_equal(self.extracted(path, *options), images)
        last = len(images) - 1
        facts = self.json_of("get", path, "--index", last, *options)
        self.assertEqual(facts["sha256"], hash_of_pixels(images[last]))
        self.assertEqual(facts["number"], last if numbers is None else numbers[last])


class Micam05(ForeignFileTestCase):
    FRAMES, ROWS, COLUMNS, CHANNELS, SAMPLES = 9, 24, 40, 3, 20

    def setUp(self):
        super().setUp()
        self.images = numbered_stack(self.FRAMES, self.ROWS, self.COLUMNS, dtype=numpy.uint16, first=700)
        self.background = numbered_stack(1, self.ROWS, self.COLUMNS, dtype=numpy.uint16, first=33333)[0]
        samples = self.CHANNELS * self.FRAMES * self.SAMPLES
        self.analog = (numpy.arange(samples) * 37 - 9000).reshape(self.CHANNELS, self.FRAMES, self.SAMPLES)

    def test_frames_analog_data_and_facts(self):
        path = write_micam05(self.folder, self.images, self.background, self.analog, useful=(3, 2, 30, 20))
        self.check_frames(path, self.images)
        info = self.json_of("info", path)
        self.assertEqual(info["frame_count"], self.FRAMES)
        self.assertEqual(info["image_shape"], [self.ROWS, self.COLUMNS])
        self.assertEqual(info["dtype"], "uint16")
        self.assertEqual(info["format"], "MiCAM05")
        self.assertEqual(info["warnings"], [])
        self.assertEqual(info["user_metadata"]["comment"], "at 14:10: drug")
        self.assertEqual(info["user_metadata"]["frame_rate_hz"], 2000.0)
        self.assertEqual(info["user_metadata"]["useful_region"], {"x": 3, "y": 2, "width": 30, "height": 20})
        self.assertEqual(info["user_metadata"]["data_start"], 972)
        records = self.lines_of("extra", path)
        self.assertEqual([record["frame_index"] for record in records], list(range(self.FRAMES)))
        for frame, record in enumerate(records):
            self.assertEqual(record["analog"], self.analog[:, frame].tolist())
        numpy.testing.assert_array_equal(self.extracted(path, "--open", "region=useful"),
                                         self.images[:, 2:22, 3:33])
        numpy.testing.assert_array_equal(self.extracted(path, "--open", "image=difference"),
                                         difference(self.images, self.background))

    def test_images_that_begin_two_bytes_early(self):
        write_micam05(self.folder, self.images, self.background, self.analog[:0], start=970)
        path = self.folder / "heart.gsh"
        self.check_frames(path, self.images)
        self.assertEqual(self.json_of("info", path)["user_metadata"]["data_start"], 970)

    def test_saved_to_a_store(self):
        path = write_micam05(self.folder, self.images, self.background, self.analog)
        store = self.folder / "store"
        self.ok("save", path, store, "--format", "npy")
        numpy.testing.assert_array_equal(self.extracted(store), self.images)
        times = [frame["time"] for frame in self.lines_of("frames", store)]
        numpy.testing.assert_allclose(numpy.diff(times), 1 / 2000, rtol=1e-3)
        for frame, record in enumerate(self.lines_of("extra", store)):
            self.assertEqual(record["analog"], self.analog[:, frame].tolist())

    def test_missing_parts(self):
        path = write_micam05(self.folder, self.images, self.background, self.analog)
        (self.folder / "heart.gsh").unlink()
        info = self.json_of("info", path)
        self.assertEqual(info["frame_count"], self.FRAMES)
        self.assertIn("heart.gsh", info["warnings"][0])
        write_micam05(self.folder, self.images, self.background, self.analog)
        path.unlink()
        self.assert_refused(run("get", self.folder / "heart.gsh", "--index", 0, "-o", "-"), FAILED, "heart.gsd",
                            "missing")


class MicamUltima(ForeignFileTestCase):
    FRAMES = 11

    def setUp(self):
        super().setUp()
        self.images = numbered_stack(self.FRAMES, 100, 100, dtype=numpy.uint16, first=900)
        self.inputs = (numpy.arange(self.FRAMES * 60) * 91 - 30000).reshape(self.FRAMES, 3, 20).astype(numpy.int16)

    def check_inputs(self, records, frames):
        self.assertEqual([record["frame_number"] for record in records], list(frames))
        for frame, record in zip(frames, records):
            for name, samples in zip(("analog1", "analog2", "stimulus"), self.inputs[frame]):
                self.assertEqual(record[name], samples.tolist())

    def test_frames_inputs_and_facts(self):
        path = write_ultima(self.folder, self.images, self.inputs, block=4)
        self.check_frames(path, self.images)
        self.check_inputs(self.lines_of("extra", path), range(self.FRAMES))
        info = self.json_of("info", self.folder / "heart(1).rsd")
        self.assertEqual(info["frame_count"], self.FRAMES)
        self.assertEqual(info["image_shape"], [100, 100])
        self.assertEqual(info["format"], "MiCAM ULTIMA")
        self.assertEqual(info["warnings"], [])
        self.assertEqual(info["user_metadata"]["cmnt"], "dose=3 mg")
        self.assertEqual(info["user_metadata"]["analog_sample_rate"], 20000)

    def test_the_first_frame_as_background(self):
        images = self.images.copy()
        images[0] = numbered_stack(1, 100, 100, dtype=numpy.uint16, first=44444)[0]
        path = write_ultima(self.folder, images, self.inputs, title="x U")
        (self.folder / "heart.rsm").unlink()
        self.check_frames(path, images)

    def test_two_cameras(self):
        path = write_ultima(self.folder, self.images, self.inputs, dual=True)
        for camera in (1, 2):
            numbers = range(camera - 1, self.FRAMES, 2)
            self.check_frames(path, self.images[camera - 1::2], "--open", f"camera={camera}", numbers=numbers)
            self.check_inputs(self.lines_of("extra", path, "--open", f"camera={camera}"), numbers)

    def test_a_missing_file_moves_no_other_frame(self):
        path = write_ultima(self.folder, self.images, self.inputs, block=4)
        (self.folder / "heart(1).rsd").unlink()
        facts = self.json_of("get", path, "--index", 8)
        self.assertEqual(facts["sha256"], hash_of_pixels(self.images[8]))
        self.assert_refused(run("get", path, "--index", 5, "-o", "-"), FAILED, "heart(1).rsd", "missing")
        info = self.json_of("info", path)
        self.assertEqual(info["frame_count"], self.FRAMES)
        self.assertIn("heart(1).rsd is missing", info["warnings"][0])
        result = run("extract", path, self.folder / "all.npy")
        self.assertIn(result.code, (FAILED, DATA_LOST))
        self.assertIn("heart(1).rsd", result.err)


class Hiris(ForeignFileTestCase):
    def test_both_depths(self):
        times = [5 + frame / 250 + (0.0015 if frame > 3 else 0) for frame in range(10)]
        for dtype in (numpy.uint8, numpy.uint16):
            folder = self.folder / numpy.dtype(dtype).name
            folder.mkdir()
            images = numbered_stack(10, 18, 34, dtype=dtype, first=60)
            path = write_hiris(folder, images, times)
            self.check_frames(path, images)
            frames = self.lines_of("frames", path)
            numpy.testing.assert_allclose([frame["time"] for frame in frames], times, atol=1e-9)
        info = self.json_of("info", path)
        self.assertEqual(info["format"], "HIRIS")
        self.assertEqual(info["user_metadata"]["comment"], "a = b")
        self.assertEqual(info["user_metadata"]["time_stamp_unit_seconds"], 0.001)
        (folder / "Trial_00001.bin").unlink()
        self.assertEqual(json.loads(self.ok("get", path, "--index", 9, "--json").out)["number"], 9)
        self.assert_refused(run("get", path, "--index", 4, "-o", "-"), FAILED, "Trial_00001.bin")


if __name__ == "__main__":
    unittest.main()
