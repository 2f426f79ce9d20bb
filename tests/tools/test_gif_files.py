"""GIF files of other programs, and ours as other programs see them."""
import subprocess
import unittest

import numpy
import PIL.Image

from store_program import StoreTestCase, numbered_stack


def over_white(path):
    """What Pillow shows of every frame, on white, as BGR, and for how many milliseconds."""
    images, delays = [], []
    with PIL.Image.open(path) as file:
        for index in range(file.n_frames):
            file.seek(index)
            seen = PIL.Image.new("RGBA", file.size, "white")
            seen.alpha_composite(file.convert("RGBA"))
            images.append(numpy.array(seen.convert("RGB"))[..., ::-1])
            delays.append(file.info.get("duration", 0))
    return numpy.stack(images), delays


class GifFiles(StoreTestCase):
    def frames(self, path, *options):
        """As BGR, also of gray files."""
        frames = self.extracted(path, *options)
        return frames if frames.ndim == 4 else numpy.repeat(frames[..., None], 3, axis=3)

    def moving_squares(self, path, disposal, transparent):
        """Squares on a ground, drawn by Pillow in small and transparent parts."""
        pages = []
        for number in range(6):
            page = PIL.Image.new("RGBA", (40, 30), (0, 0, 0, 0) if transparent else (20, 90, 200, 255))
            page.paste((250, 40 * number, 10, 255), (5 * number, 3 * number, 5 * number + 9, 3 * number + 8))
            pages.append(page)
        pages[0].save(path, save_all=True, append_images=pages[1:], duration=[30, 50, 70, 90, 110, 130],
                      disposal=disposal, loop=0, optimize=False)

    def test_files_of_pillow(self):
        for disposal in (0, 1, 2, 3):
            for transparent in (False, True):
                with self.subTest(disposal=disposal, transparent=transparent):
                    path = self.folder / f"{disposal}_{transparent}.gif"
                    self.moving_squares(path, disposal, transparent)
                    expected, delays = over_white(path)
                    numpy.testing.assert_array_equal(self.frames(path), expected)
        lines = self.lines_of("frames", path)
        begins = [sum(delays[:index]) / 1000 for index in range(6)]
        numpy.testing.assert_allclose([line["time"] for line in lines], begins, atol=1e-6)
        # A single frame, begun at the last whole one.
        out = self.folder / "frame.npy"
        self.ok("get", path, "--index", 4, "-o", out)
        numpy.testing.assert_array_equal(numpy.load(out), expected[4])

    def test_files_of_ffmpeg(self):
        for name, source in (("testsrc", "testsrc=size=80x60:rate=20"), ("life", "life=size=64x48:rate=25:seed=3")):
            with self.subTest(name):
                path = self.folder / f"{name}.gif"
                subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-frames:v", "25", str(path)],
                               check=True)
                raw = subprocess.run(["ffmpeg", "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "bgr24",
                                      "-vsync", "0", "-"], check=True, stdout=subprocess.PIPE).stdout
                frames = self.frames(path)
                expected = numpy.frombuffer(raw, numpy.uint8).reshape(-1, *frames.shape[1:])
                numpy.testing.assert_array_equal(frames, expected)
                numpy.testing.assert_array_equal(frames, over_white(path)[0])

    def test_our_gray_files_are_exact(self):
        images = numbered_stack(7, 24, 40)
        numpy.save(self.folder / "source.npy", images)
        path = self.folder / "gray.gif"
        self.ok("extract", self.folder / "source.npy", path, "--fps", 30, "--set", "pingpong=yes", "--set", "loop=3")
        order = [0, 1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1]
        with PIL.Image.open(path) as file:
            self.assertEqual(file.info["loop"], 2)
            self.assertEqual(file.n_frames, len(order))
            for index, number in enumerate(order):
                file.seek(index)
                numpy.testing.assert_array_equal(numpy.array(file.convert("L")), images[number])
                self.assertIn(file.info["duration"], (30, 40))

    def test_our_colours(self):
        images = numbered_stack(5, 48, 64, 3)
        images[:, 30:, :, 0] = numpy.arange(64) * 4
        numpy.save(self.folder / "source.npy", images)
        for options in ([], ["--set", "dither=floyd-steinberg"], ["--set", "palette=global", "--set", "dither=bayer"]):
            with self.subTest(options):
                path = self.folder / f"colour{len(options)}.gif"
                self.ok("extract", self.folder / "source.npy", path, "--fps", 10, *options)
                seen, delays = over_white(path)
                self.assertEqual(delays, [100] * 5)
                self.assertLess(numpy.abs(seen.astype(float) - images).mean(), 5)
                numpy.testing.assert_array_equal(self.frames(path), seen)


if __name__ == "__main__":
    unittest.main()
