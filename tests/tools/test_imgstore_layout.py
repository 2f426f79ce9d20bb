"""Stores written here read by an independent reader of imgstore's layout."""
import json
import pathlib
import subprocess
import unittest
import warnings
import zipfile

import cv2
import numpy
import yaml

from store_program import GOLDEN, StoreTestCase, command, numbered_stack, read_number

FRAMES = 100
CHUNK_FRAMES = 7
GRAY, COLOR = 1, 3
EVEN, ODD = (48, 64), (47, 63)
VIDEO_FORMATS = {"mjpeg/avi": ".avi", "avc1/mp4": ".mp4", "h264/mkv": ".mkv"}
LOSSLESS = {"npy", "png", "tif", "bmp", "ppm", "pgm"}
CASES = [(name, channels, size)
         for name in ("npy", "png", "jpg", "tif", "bmp", "ppm", "pgm", *VIDEO_FORMATS)
         for channels in (GRAY, COLOR)
         for size in (EVEN, ODD)
         if (name, channels) not in {("pgm", COLOR)}]


class ImgstoreReader:
    """Reads a store the way imgstore 0.4 does, from its documented layout only."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.document = yaml.safe_load((self.folder / "metadata.yaml").read_text(encoding="utf-8"))
        self.store = self.document["__store"]
        if self.store["version"] != 2:
            raise ValueError("version")
        self.format = self.store["format"]
        self.shape = tuple(self.store["imgshape"])
        self.chunks = self.find_chunks()

    def find_chunks(self):
        """Every name must be an integer: a stray file or folder raises ValueError here as it does in imgstore."""
        if self.store["class"] == "DirectoryImgStore":
            found = [(int(path.name), path / "index") for path in self.folder.iterdir() if path.is_dir()]
        else:
            extension = self.store["extension"]
            found = [(int(path.stem), path.with_suffix("")) for path in self.folder.glob("*" + extension)]
        return [(number, base, self.read_index(base)) for number, base in sorted(found)]

    @staticmethod
    def read_index(base):
        with numpy.load(str(base) + ".npz") as members:
            numbers, times = members["frame_number"], members["frame_time"]
        if numbers.dtype != numpy.int64 or times.dtype != numpy.float64 or len(numbers) != len(times):
            raise ValueError(base)
        return numbers.tolist(), times.tolist()

    def numbers(self):
        return [number for chunk in self.chunks for number in chunk[2][0]]

    def times(self):
        return [time for chunk in self.chunks for time in chunk[2][1]]

    def frames(self):
        for number, base, index in self.chunks:
            yield from (self.video_frames(base) if self.store["class"] == "VideoImgStore"
                        else self.image_frames(base.parent, len(index[0])))

    def image_frames(self, folder, count):
        color = len(self.shape) == 3
        for position in range(count):
            name = str(folder / f"{position:06d}.{self.format.split('+')[0]}")
            if self.format == "npy":
                yield numpy.load(name)
            else:
                yield cv2.imread(name, cv2.IMREAD_COLOR if color else cv2.IMREAD_GRAYSCALE)

    def video_frames(self, base):
        capture = cv2.VideoCapture(str(base) + self.store["extension"])
        while True:
            read, frame = capture.read()
            if not read:
                break
            yield frame if len(self.shape) == 3 else cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        capture.release()


class Layout(StoreTestCase):
    def check_case(self, name, channels, size):
        video = name in VIDEO_FORMATS
        images = numbered_stack(FRAMES, *size, channels)
        store = self.save_stack(images, "store", "--format", name, "--chunk-frames", CHUNK_FRAMES, "--meta", "rig=3")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reader = ImgstoreReader(store)
        self.assertEqual(reader.numbers(), list(range(FRAMES)))
        rows = self.lines_of("frames", store)
        self.assertEqual(reader.times(), [row["time"] for row in rows])
        numpy.testing.assert_allclose(numpy.diff(reader.times()), 0.04, atol=1e-6)
        self.check_metadata(reader, name, channels, size)
        self.check_sizes_of_chunks(reader)
        self.check_files(reader, video)
        self.check_npz(reader, name)
        height, width = size
        shape = (height + height % 2, width + width % 2) if video else size
        count = 0
        for image, original in zip(reader.frames(), images):
            self.assertEqual(image.shape, shape + ((COLOR,) if channels == COLOR else ()))
            self.assertEqual(read_number(image[:height, :width]), count)
            self.check_pixels(image[:height, :width], original, name)
            count += 1
        self.assertEqual(count, FRAMES)
        self.assertEqual(len(list(reader.frames())), FRAMES)
        self.check_own_reading(store, images, name)

    def check_pixels(self, image, original, name):
        if name in LOSSLESS:
            numpy.testing.assert_array_equal(image, original)
            return
        difference = numpy.abs(image.astype(int) - original.astype(int))
        # The third channel differs from the others, so that chroma subsampling costs something at its edges.
        self.assertLess(difference.mean(), 4 if image.ndim == 2 else 11)

    def check_own_reading(self, store, images, name):
        frames = self.extracted(store)
        self.assertEqual(frames.shape, images.shape)
        for frame, image in zip(frames, images):
            self.check_pixels(frame, image, name)

    def check_metadata(self, reader, name, channels, size):
        video = name in VIDEO_FORMATS
        store = reader.store
        sizes = [side + side % 2 for side in size] if video else list(size)
        self.assertEqual(store["imgshape"], sizes + ([3] if channels == COLOR else []))
        self.assertEqual(store["imgdtype"], "uint8")
        self.assertEqual(store["chunksize"], CHUNK_FRAMES)
        self.assertEqual(store["format"], name)
        self.assertEqual(store["class"], "VideoImgStore" if video else "DirectoryImgStore")
        self.assertEqual(store["version"], 2)
        self.assertIsNone(store["encoding"])
        self.assertIsInstance(store["created_utc"], str)
        self.assertIsInstance(store["timezone_local"], str)
        self.assertRegex(store["uuid"], "^[0-9a-f]{32}$")
        self.assertEqual(store.get("extension"), VIDEO_FORMATS.get(name))
        self.assertEqual({key: value for key, value in reader.document.items() if key != "__store"}, {"rig": 3})

    def check_sizes_of_chunks(self, reader):
        expected = [CHUNK_FRAMES] * (FRAMES // CHUNK_FRAMES) + [FRAMES % CHUNK_FRAMES]
        self.assertEqual([len(index[0]) for _, _, index in reader.chunks], expected)
        self.assertEqual([number for number, _, _ in reader.chunks], list(range(len(expected))))

    def check_files(self, reader, video):
        """Exactly the files imgstore has, and the index."""
        expected = {"metadata.yaml", "index.sqlite"}
        for number, _, index in reader.chunks:
            if video:
                expected |= {f"{number:06d}{reader.store['extension']}", f"{number:06d}.npz"}
            else:
                extension = reader.format
                expected |= {f"{number:06d}", f"{number:06d}/index.npz"}
                expected |= {f"{number:06d}/{position:06d}.{extension}" for position in range(len(index[0]))}
        found = {str(path.relative_to(reader.folder)) for path in reader.folder.rglob("*")}
        self.assertEqual(found, expected)

    def check_npz(self, reader, name):
        golden = GOLDEN / ("avc1_mp4-color" if name in VIDEO_FORMATS else "png-color/000000")
        golden_file = next(golden.glob("*.npz"))
        names = zipfile.ZipFile(golden_file).namelist()
        # Reading a pickle is harmless here: the files are made by this project and by imgstore.
        golden_members = numpy.load(golden_file, allow_pickle=True)
        for _, base, _ in reader.chunks[:1] + reader.chunks[-1:]:
            archive = zipfile.ZipFile(str(base) + ".npz")
            self.assertIsNone(archive.testzip())
            self.assertEqual(archive.namelist(), names)
            self.assertTrue(all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist()))
            members = numpy.load(str(base) + ".npz", allow_pickle=True)
            for key in members:
                self.assertEqual(members[key].dtype.kind, golden_members[key].dtype.kind, key)
                self.assertEqual(members[key].ndim, golden_members[key].ndim, key)
                if key in reader.store:
                    self.assertEqual(members[key].tolist(), reader.store[key], key)

    def test_no_empty_chunk_after_a_full_one(self):
        for name in ("npy", "avc1/mp4"):
            store = self.save_stack(numbered_stack(14), name.replace("/", "_"), "--format", name, "--chunk-frames", 7)
            self.assertEqual([number for number, _, _ in ImgstoreReader(store).chunks], [0, 1])

    def test_raw_layout(self):
        raw = numbered_stack(5)
        store = self.save_stack(raw, "store", "--format", "npy", "--encoding", "cv_bayerbg", "--chunk-frames", 4)
        reader = ImgstoreReader(store)
        self.assertEqual(reader.store["encoding"], "cv_bayerbg")
        self.assertEqual(reader.store["imgshape"], [48, 64])
        numpy.testing.assert_array_equal(numpy.stack(list(reader.frames())), raw)
        decoded = numpy.stack([cv2.cvtColor(image, cv2.COLOR_BAYER_BG2BGR) for image in raw])
        numpy.testing.assert_array_equal(self.extracted(store), decoded)
        numpy.testing.assert_array_equal(self.extracted(store, "--raw"), raw)

    def test_color_form_is_decoded_when_it_is_written(self):
        raw = numbered_stack(5)
        store = self.save_stack(raw, "store", "--format", "png+color", "--encoding", "cv_bayerbg")
        reader = ImgstoreReader(store)
        self.assertEqual(reader.store["imgshape"], [48, 64, 3])
        decoded = numpy.stack([cv2.cvtColor(image, cv2.COLOR_BAYER_BG2BGR) for image in raw])
        numpy.testing.assert_array_equal(numpy.stack(list(reader.frames())), decoded)
        numpy.testing.assert_array_equal(self.extracted(store), decoded)

    def test_every_type_in_npy(self):
        for dtype in ("uint8", "int8", "uint16", "int16", "int32", "float32", "float64"):
            images = numbered_stack(3, dtype=dtype) if dtype != "int8" else numbered_stack(3).view(numpy.int8)
            store = self.save_stack(images, dtype, "--format", "npy")
            reader = ImgstoreReader(store)
            self.assertEqual(reader.store["imgdtype"], dtype)
            numpy.testing.assert_array_equal(numpy.stack(list(reader.frames())), images)

    def test_16_bits_in_png_and_tif(self):
        images = numbered_stack(3, dtype=numpy.uint16)
        for name in ("png", "tif"):
            store = self.save_stack(images, name, "--format", name)
            image = cv2.imread(str(store / "000000" / f"000002.{name}"), cv2.IMREAD_UNCHANGED)
            numpy.testing.assert_array_equal(image, images[2])
            numpy.testing.assert_array_equal(self.extracted(store), images)

    def test_user_metadata_of_every_kind(self):
        values = {"text": "ä 日本 \"quoted\" 'single' # no comment", "date": "2020-01-01", "yes": True, "none": None,
                  "number": 1.5e-7, "list": [1, [2, {"deep": [3]}]], "colon": "a: b", "empty": "", "big": "x" * 300000}
        source = self.folder / "images.npy"
        numpy.save(source, numbered_stack(2))
        options = [part for key, value in values.items() if key != "big"
                   for part in ("--meta", f"{key}={json.dumps(value, ensure_ascii=False)}")]
        self.ok("save", source, self.folder / "store", "--format", "npy", *options, "--meta", "big=" + "x" * 100000)
        document = ImgstoreReader(self.folder / "store").document
        document.pop("__store")
        expected = dict(values, big="x" * 100000)
        self.assertEqual(document, expected)
        self.assertEqual(self.json_of("info", self.folder / "store")["user_metadata"], expected)

    def test_no_stray_file_at_any_moment(self):
        """Looks at the names all the time while a store is written."""
        source = self.folder / "images.npy"
        numpy.save(source, numbered_stack(200))
        for name, extension in (("png", ""), ("avc1/mp4", ".mp4")):
            store = self.folder / ("store" + extension)
            program = subprocess.Popen(command("save", source, store, "--format", name, "--chunk-frames", 5,
                                               "--time", "fps:25"), stderr=subprocess.DEVNULL)
            seen = set()
            while program.poll() is None:
                if store.is_dir():
                    seen |= {(path.name, path.is_dir()) for path in store.iterdir()}
            self.assertEqual(program.returncode, 0)
            self.assertTrue(seen)
            for path, is_folder in seen:
                if is_folder:
                    int(path)
                elif extension and path.endswith(extension):
                    int(pathlib.Path(path).stem)


def add_test(name, channels, size):
    def test(self):
        self.check_case(name, channels, size)
    word = f"{name.replace('/', '_')}_{'gray' if channels == GRAY else 'color'}_{'even' if size == EVEN else 'odd'}"
    setattr(Layout, "test_" + word, test)


for case in CASES:
    add_test(*case)

if __name__ == "__main__":
    unittest.main()
