"""Temporal filters against the same done with numpy and scipy."""
import unittest
import warnings

import numpy
from scipy import ndimage

from store_program import StoreTestCase

HEIGHT, WIDTH, COUNT = 13, 18, 21
NAN = numpy.nan


def random_stack(dtype, count=COUNT, channels=1, seed=3, height=HEIGHT, width=WIDTH):
    random = numpy.random.default_rng(seed)
    shape = (count, height, width) if channels == 1 else (count, height, width, channels)
    if numpy.dtype(dtype).kind == "f":
        return random.normal(0.5, 0.4, shape).astype(dtype)
    info = numpy.iinfo(dtype)
    return random.integers(info.min, info.max + 1, shape).astype(dtype)


def with_nan(images, seed=5):
    """Single values, a pixel and the first frame's corner without values; one pixel that never changes."""
    images = images.copy()
    images[numpy.random.default_rng(seed).random(images.shape) < 0.05] = NAN
    images[:, 3, 4] = NAN
    images[0, :3, :3] = NAN
    images[:, 5, 6] = 7
    return images


def as_type(values, dtype):
    if numpy.dtype(dtype).kind == "f":
        return values.astype(dtype)
    info = numpy.iinfo(dtype)
    return numpy.clip(numpy.rint(values), info.min, info.max).astype(dtype)


def difference(images, n, center=False, fill=0):
    signal = images.astype(numpy.float64 if images.dtype == numpy.float64 else numpy.float32)
    padding = (n - n // 2, n // 2) if center else (n, 0)
    if n >= len(images):
        return numpy.full_like(signal, fill)
    return numpy.pad(signal[n:] - signal[:-n], (padding,) + ((0, 0),) * (images.ndim - 1), constant_values=fill)


def spread(images, low, high):
    images, low, high = [array.astype(numpy.float64) for array in (images, low, high)]
    span = numpy.where(high > low, high - low, 1)
    return ((images - low) / span).astype(numpy.float32)


def pixelwise(images):
    return spread(images, numpy.nanmin(images, axis=0), numpy.nanmax(images, axis=0))


def sliding(images, window):
    half = window // 2
    parts = [images[max(0, i - half):i + half + 1] for i in range(len(images))]
    return numpy.stack([spread(image, numpy.nanmin(part, axis=0), numpy.nanmax(part, axis=0))
                        for image, part in zip(images, parts)])


def known_mean(smooth, images, missing):
    """A linear filter without the values that are not finite."""
    known = numpy.isfinite(images)
    sums, weights = smooth(numpy.where(known, images, 0).astype(float)), smooth(known.astype(float))
    means = numpy.where(weights > 1e-9, sums / numpy.where(weights > 1e-9, weights, 1), NAN)
    return means if missing == "fill" else numpy.where(known, means, NAN)


def mean(images, size_temporal, size_spatial, missing="keep"):
    sizes = (size_temporal, size_spatial, size_spatial) + (1,) * (images.ndim - 3)

    def smooth(values):
        return ndimage.uniform_filter(values, sizes, mode="nearest")
    return known_mean(smooth, images, missing)


def gaussian(images, sigma_temporal, sigma_spatial, mode="reflect", truncate=4.0, missing="keep"):
    sigmas = (sigma_temporal, sigma_spatial, sigma_spatial) + (0,) * (images.ndim - 3)

    def smooth(values):
        return ndimage.gaussian_filter(values, sigmas, mode=mode, truncate=truncate)
    return known_mean(smooth, images, missing)


def background(images, rate, result):
    """As the frames before left it; `rate` for each frame."""
    known = numpy.full(images.shape[1:], NAN)
    results = []
    for image, share in zip(images.astype(float), rate):
        known = numpy.where(numpy.isfinite(known) | ~numpy.isfinite(image), known, image)
        change = image - known
        results.append({"absolute": abs(change), "difference": change, "background": known}[result])
        known = numpy.where(numpy.isfinite(image), known + share * change, known)
    return numpy.stack(results)


def evolve_jitter(video, framerate, threshold):
    """Written from the description of the published filter; integers are rounded."""
    video = video.copy()
    means = video.reshape(len(video), -1).mean(axis=1)
    changes = numpy.diff(means) / numpy.median(means)
    for i in range(len(changes) - 1):
        if changes[i] < -threshold and changes[i + 1] > threshold:
            video[i + 1] = as_type(video[i + 1] * (1 + 14e-6 * framerate), video.dtype)
    return video


class TemporalFilters(StoreTestCase):
    def filtered(self, images, filters):
        path = self.folder / "images.npy"
        numpy.save(path, images)
        return self.extracted(path, "--filter", filters)

    def assert_near(self, result, expected, tolerance, what):
        self.assertEqual((result.dtype, result.shape), (expected.dtype, expected.shape), what)
        numpy.testing.assert_allclose(result.astype(float), expected.astype(float), atol=tolerance, rtol=0, err_msg=what)

    def test_difference(self):
        cases = (("uint8", 1, "difference", (1,)), ("uint16", 3, "difference=5:yes:0.25", (5, True, 0.25)),
                 ("int16", 1, "difference=4:center=yes", (4, True)), ("float32", 1, "difference=20", (20,)),
                 ("float64", 3, "difference=21:fill=9", (21, False, 9)), ("uint8", 1, "difference=1000:yes", (1000, True)))
        for dtype, channels, text, arguments in cases:
            images = random_stack(dtype, channels=channels)
            expected = difference(images, *arguments)
            numpy.testing.assert_array_equal(self.filtered(images, text), expected, text, strict=True)
        images = random_stack("uint8")
        expected = difference(images, 2).astype("int16")
        numpy.testing.assert_array_equal(self.filtered(images, "difference=2:type=int16"), expected, strict=True)

    def test_pixelwise(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of pixels without any value
            for dtype in ("uint8", "int16", "float32"):
                images = random_stack(dtype, channels=3 if dtype == "int16" else 1)
                images[:, 5, 6] = 7
                if dtype == "float32":
                    images = with_nan(images)
                self.assert_near(self.filtered(images, "normalize-pixelwise"), pixelwise(images), 2e-7, dtype)
                for window in (5, 16) if dtype == "float32" else () if dtype == "uint8" else (6,):
                    expected = sliding(images, window)
                    self.assert_near(self.filtered(images, f"normalize-sliding={window}"), expected, 2e-7, dtype)
            images = random_stack("uint8")
            self.assert_near(self.filtered(images, "normalize-sliding=1"), sliding(images, 1), 0, "1")
            self.assert_near(self.filtered(images, "normalize-sliding=999:-1:3"), pixelwise(images) * 4 - 1, 1e-6, "999")

    def test_mean(self):
        for dtype, channels in (("uint8", 1), ("uint16", 3), ("int16", 1)):
            images = random_stack(dtype, channels=channels)
            size_temporal, size_spatial = (5, 1) if dtype == "uint8" else (4, 2)
            expected = as_type(mean(images, size_temporal, size_spatial), dtype)
            text = f"mean={size_temporal}:{size_spatial}"
            # Halves may fall to either side in scipy's sums.
            self.assert_near(self.filtered(images, text), expected, 1, f"{text} {dtype}")
        images = random_stack("uint8")
        result = self.filtered(images, "mean=5:3:type=float32")
        self.assert_near(result, mean(images, 5, 3).astype("float32"), 1e-4, "type")
        # Exactly halves, which are rounded to even numbers.
        expected = numpy.concatenate([images[:1], numpy.rint((images[1:] / 2 + images[:-1] / 2)).astype("uint8")])
        numpy.testing.assert_array_equal(self.filtered(images, "mean=2"), expected)
        images = with_nan(random_stack("float32"))
        for text, expected in (("mean=5", mean(images, 5, 1)), ("mean=6:3:fill", mean(images, 6, 3, "fill")),
                               ("mean=1:4", mean(images, 1, 4)), ("mean=99:2", mean(images, 99, 2))):
            self.assert_near(self.filtered(images, text), expected.astype("float32"), 1e-6, text)

    def test_smooth(self):
        for dtype, channels in (("uint8", 1), ("uint16", 3), ("float64", 1)):
            images = random_stack(dtype, channels=channels)
            expected = as_type(gaussian(images, 1.5, 1), dtype)
            tolerance = 1e-12 if dtype == "float64" else 1
            self.assert_near(self.filtered(images, "smooth=1.5:1"), expected, tolerance, dtype)
        images = random_stack("float32")
        for text, expected in (("smooth=0.6:2.3", gaussian(images, 0.6, 2.3)),
                               ("smooth=2:0:3", gaussian(images, 2, 0, truncate=3)),
                               ("smooth=1:1:edge=reflect", gaussian(images, 1, 1, "mirror")),
                               ("smooth=20:1:edge=edge", gaussian(images, 20, 1, "nearest"))):
            self.assert_near(self.filtered(images, text), expected.astype("float32"), 3e-6, text)
        images = with_nan(images)
        for missing in ("keep", "fill"):
            expected = gaussian(images, 1, 0.8, missing=missing).astype("float32")
            self.assert_near(self.filtered(images, f"smooth=1:0.8:missing={missing}"), expected, 1e-5, missing)
        images = random_stack("uint8")
        result = self.filtered(images, "smooth=1:1:type=float32")
        self.assert_near(result, gaussian(images, 1, 1).astype("float32"), 1e-3, "type")

    def test_background(self):
        images = random_stack("uint8")
        expected = as_type(background(images, [0.05] * COUNT, "absolute"), "uint8")
        self.assert_near(self.filtered(images, "background"), expected, 1, "absolute")
        images = with_nan(random_stack("float32"))
        for result in ("difference", "background"):
            expected = background(images, [0.3] * COUNT, result).astype("float32")
            self.assert_near(self.filtered(images, f"background=0.3:result={result}"), expected, 1e-5, result)
        images = random_stack("uint16")
        store = self.save_stack(images, "store", "--format", "npy")
        rate = 1 - numpy.exp(-0.04 / 0.1)
        expected = background(images, [rate] * COUNT, "difference").astype("float32")
        result = self.extracted(store, "--filter", "background=seconds=0.1:result=difference")
        self.assert_near(result, expected, 0.1, "seconds")
        expected = (images - mean(images, 7, 1)).astype("float32")
        result = self.filtered(images, "background-mean=7:difference")
        self.assert_near(result, expected, 0.01, "mean")

    def test_background_of_the_recording(self):
        images = with_nan(random_stack("float32"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of pixels without any value
            expected = (images - numpy.nanmedian(images, axis=0)).astype("float32")
        self.assert_near(self.filtered(images, "background-median=result=difference"), expected, 1e-6, "all")
        images = random_stack("uint8", channels=3)
        expected = as_type(abs(images - numpy.median(images[::4], axis=0)), "uint8")
        self.assert_near(self.filtered(images, "background-median=3"), expected, 0, "sample")

    def test_frame_rate(self):
        images = random_stack("uint8")
        even = self.save_stack(images, "even", "--format", "npy")  # 25 frames a second
        numpy.testing.assert_array_equal(self.extracted(even, "--filter", "rate=12.5"), images[::2])
        numpy.testing.assert_array_equal(self.extracted(even, "--filter", "rate=75:previous"), images.repeat(3, 0)[:61])
        numpy.testing.assert_array_equal(self.extracted(even, "--filter", "skip=4,hold=2"), images[::4].repeat(2, 0))

    def test_jitter(self):
        images = (1000 + random_stack("uint8")).astype("uint16")
        images[[4, 9, 10, 15]] -= 50
        expected = evolve_jitter(images, 500, 0.004)
        self.assertEqual([i for i in range(COUNT) if (images[i] != expected[i]).any()], [4, 15])
        numpy.testing.assert_array_equal(self.filtered(images, "evolve-jitter"), expected)
        numpy.testing.assert_array_equal(self.filtered(images, "evolve-jitter=100:0.01"), evolve_jitter(images, 100, 0.01))

    def test_small_recordings(self):
        """One frame, one pixel, windows longer than the recording."""
        one_frame = random_stack("float32", 1)
        one_pixel = random_stack("float32", 3, height=1, width=1)
        for images, text, expected in ((one_frame, "mean=9:5", mean(one_frame, 9, 5)),
                                       (one_frame, "smooth=3:2", gaussian(one_frame, 3, 2)),
                                       (one_pixel, "normalize-sliding=9", sliding(one_pixel, 9)),
                                       (one_pixel, "smooth=3:2", gaussian(one_pixel, 3, 2))):
            self.assert_near(self.filtered(images, text), expected.astype("float32"), 1e-5, text)

    def test_chains_and_crops(self):
        images = random_stack("uint8")
        part = images[:, 2:9, 3:15]
        expected = pixelwise(difference(part, 2))
        self.assert_near(self.filtered(images, "crop=3:2:12:7,difference=2,normalize-pixelwise"), expected, 1e-6, "chain")
        # The second one learns from what the first one gives.
        expected = pixelwise(pixelwise(images)[::3])
        self.assert_near(self.filtered(images, "normalize-pixelwise,skip=3,normalize-pixelwise"), expected, 1e-6, "twice")

    def test_refusals(self):
        images = random_stack("uint8", 3)
        numpy.save(self.folder / "images.npy", images)
        for text, words, code in (("rate=10", ["frame rate"], 2), ("background=seconds=1", ["give rate"], 2),
                                  ("diference", ["did you mean difference"], 2)):
            result = self.ok("extract", self.folder / "images.npy", self.folder / "out.npy", "--filter", text, code=code)
            self.assert_refused(result, code, *words)


if __name__ == "__main__":
    unittest.main()
