"""Runs the program `store` for the tests in this folder and makes and reads numbered images."""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import cv2
import numpy

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = pathlib.Path(os.environ.get("REELSTORE_PROGRAM", HERE / "../../build/release/bin/store")).absolute()
GOLDEN = HERE.parent / "golden" / "imgstore-0.4.0"
REAL_VIDEO = pathlib.Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
REAL_VIDEO_FRAMES = 795

DONE, FAILED, USAGE, DATA_LOST, INTERRUPTED = 0, 1, 2, 3, 130

BARS = 16
DARK = 30
BRIGHT = 220
FIRST_TIME = 1577836800.0


class Result(tuple):
    """(exit code, stdout, stderr), also by name."""

    def __new__(cls, code, out, err):
        return super().__new__(cls, (code, out, err))

    code = property(lambda self: self[0])
    out = property(lambda self: self[1])
    err = property(lambda self: self[2])


def command(*arguments, program=None):
    return [str(program or PROGRAM), *[str(argument) for argument in arguments]]


def run(*arguments, program=None, binary=False, timeout=100, **options):
    done = subprocess.run(command(*arguments, program=program), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=timeout, **options)
    out = done.stdout if binary else done.stdout.decode("utf-8")
    return Result(done.returncode, out, done.stderr.decode("utf-8", "replace"))


class StoreTestCase(unittest.TestCase):
    """A test with a folder of its own that goes with it."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="store_test_"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def ok(self, *arguments, code=DONE, **options):
        """Runs a verb that must end with `code`."""
        result = run(*arguments, **options)
        self.assertEqual(result.code, code, f"store {' '.join(map(str, arguments))}: {result.err}")
        return result

    def json_of(self, *arguments, code=DONE):
        return json.loads(self.ok(*arguments, "--json", code=code).out)

    def lines_of(self, *arguments, code=DONE):
        """The objects that a verb prints, one a line."""
        return [json.loads(line) for line in self.ok(*arguments, "--json", code=code).out.splitlines()]

    def save_stack(self, images, name="store", *options, times=None):
        """A store made of images given as an array of (frames, height, width[, channels])."""
        source = self.folder / f"{name}_source.npy"
        numpy.save(source, images)
        store = self.folder / name
        self.ok("save", source, store, "--time", times or "fps:25", *options)
        source.unlink()
        return store

    def extracted(self, store, *options, code=DONE):
        """All frames of a store as one array, through `store extract`."""
        out = pathlib.Path(tempfile.mkdtemp(dir=self.folder)) / "frames.npy"
        self.ok("extract", store, out, *options, code=code)
        frames = numpy.load(out)
        return frames[..., 0] if frames.ndim == 4 and frames.shape[3] == 1 else frames

    def assert_refused(self, result, code, *words):
        """Exit code, nothing on stdout and a message that holds every word."""
        self.assertEqual(result.code, code, result.err or result.out[:300])
        self.assertEqual(result.out, "")
        self.assertNotIn("unexpected error", result.err)
        for word in words:
            self.assertIn(str(word).lower(), result.err.lower())


def numbered_image(number, height=48, width=64, channels=1, dtype=numpy.uint8):
    """16 vertical bars, most significant bit first, above a texture that moves with the number."""
    columns = numpy.arange(width)
    bits = (number >> (BARS - 1 - columns * BARS // width)) & 1
    image = numpy.empty((height, width), numpy.float64)
    bar_rows = (height + 1) // 2
    image[:bar_rows] = numpy.where(bits, BRIGHT, DARK)
    rows = numpy.arange(bar_rows, height)[:, None]
    phase = (columns[None, :] * 3 + rows * 5 + number * 7) % 128
    image[bar_rows:] = DARK + numpy.abs(64 - phase) * (BRIGHT - DARK) / 64
    scale = {"uint8": 1, "uint16": 257}.get(numpy.dtype(dtype).name, 1 / 7)
    image = (numpy.floor(image) * scale).astype(dtype)
    if channels == 1:
        return image
    planes = [image] * channels
    planes[2] = (numpy.float64(255 * scale) - image).astype(dtype)
    return numpy.dstack(planes)


def numbered_stack(count, height=48, width=64, channels=1, dtype=numpy.uint8, first=0):
    return numpy.stack([numbered_image(first + i, height, width, channels, dtype) for i in range(count)])


def read_number(image):
    """The number in an image, from the middles of its bars; nothing when a bar is neither dark nor bright."""
    plane = (image if image.ndim == 2 else image[..., 0]).astype(numpy.float64)
    if numpy.dtype(image.dtype) == numpy.uint16:
        plane = plane / 257
    elif image.dtype != numpy.uint8:
        plane = plane * 7
    height, width = plane.shape
    rows = max(1, height * 2 // 5)
    number = 0
    for bar in range(BARS):
        start, end = -(-bar * width // BARS), -(-(bar + 1) * width // BARS)
        margin = (end - start) // 5
        mean = plane[:rows, start + margin:end - margin].mean()
        number = number << 1 | int(mean > (DARK + BRIGHT) / 2)
    return number


def hash_of_pixels(image):
    return hashlib.sha256(numpy.ascontiguousarray(image).tobytes()).hexdigest()


def hash_of_tree(folder):
    """Names and contents of everything in a folder."""
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(folder).rglob("*")):
        digest.update(str(path.relative_to(folder)).encode() + b"\0")
        if path.is_file() and not path.is_symlink():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def psnr(one, other):
    error = numpy.mean((one.astype(numpy.float64) - other.astype(numpy.float64)) ** 2)
    return 99.0 if error == 0 else 10 * numpy.log10(255 ** 2 / error)


def decode_video(path, count=None):
    """A plain sequential decode, the reference for everything the program reads from a video."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while count is None or len(frames) < count:
        read, frame = capture.read()
        if not read:
            break
        frames.append(frame)
    capture.release()
    return frames
