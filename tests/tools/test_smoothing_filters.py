"""gaussian, box, median and sharpen against scipy and numpy."""
import unittest

import numpy
from scipy import ndimage

from store_program import StoreTestCase

SCIPY_EDGES = {"reflect": "mirror", "symmetric": "reflect", "edge": "nearest"}


def random_images(dtype, shape=(19, 23), channels=1, seed=3):
    random = numpy.random.default_rng(seed)
    whole = (2,) + shape + (() if channels == 1 else (channels,))
    if numpy.dtype(dtype).kind == "f":
        return random.normal(0.5, 0.4, whole).astype(dtype)
    limits = numpy.iinfo(dtype)
    return random.integers(limits.min, limits.max + 1, whole).astype(dtype)


def with_missing(dtype, channels=1):
    images = random_images(dtype, (14, 17), channels)
    images[0, 3:11, 4:12] = numpy.nan
    images[0, 0, 0] = numpy.inf
    images[0, 13, 16] = -numpy.inf
    images[1] = numpy.nan
    return images


def as_type(values, dtype):
    if numpy.dtype(dtype).kind == "f":
        return values.astype(dtype)
    limits = numpy.iinfo(dtype)
    return numpy.clip(numpy.rint(values), limits.min, limits.max).astype(dtype)


def of_planes(images, change):
    """`change` of each channel of each image, in float64."""
    planes = images.reshape(images.shape[:3] + (-1,)).astype(float)
    changed = [[change(image[..., channel]) for channel in range(planes.shape[3])] for image in planes]
    return numpy.moveaxis(numpy.array(changed), 1, -1).reshape(images.shape)


def gaussian_weights(sigma, dtype):
    if sigma == 0:
        return numpy.ones(1)
    size = round(sigma * (6 if dtype == "uint8" else 8) + 1) | 1
    places = numpy.arange(size) - size // 2
    weights = numpy.exp(-places**2 / (2 * sigma**2))
    return weights / weights.sum()


def gaussian(plane, sigma_x, sigma_y, dtype, edge="reflect"):
    mode = SCIPY_EDGES[edge]
    rows = ndimage.correlate1d(plane, gaussian_weights(sigma_x, dtype), axis=1, mode=mode)
    return ndimage.correlate1d(rows, gaussian_weights(sigma_y, dtype), axis=0, mode=mode)


def box(plane, width, height, edge="reflect"):
    mode = SCIPY_EDGES[edge]
    rows = ndimage.correlate1d(plane, numpy.ones(width) / width, axis=1, mode=mode)
    return ndimage.correlate1d(rows, numpy.ones(height) / height, axis=0, mode=mode)


def median(plane, size, edge="edge"):
    """Of the finite values; NaN where there are none."""
    radius = size // 2
    finite = numpy.where(numpy.isfinite(plane), plane, numpy.nan)
    mode = {"reflect": "reflect", "symmetric": "symmetric", "edge": "edge"}[edge]
    windows = numpy.lib.stride_tricks.sliding_window_view(numpy.pad(finite, radius, mode), (size, size))
    values = numpy.ma.masked_invalid(windows.reshape(plane.shape + (-1,)))
    return numpy.ma.median(values, axis=-1).filled(numpy.nan)


def without_missing(plane, smooth):
    """A normalised convolution: of the finite values, with weights that sum up to 1."""
    finite = numpy.isfinite(plane)
    weights = smooth(finite.astype(float))
    sums = smooth(numpy.where(finite, plane, 0))
    return numpy.divide(sums, weights, out=numpy.full(plane.shape, numpy.nan), where=weights > 1e-12)


class Smoothing(StoreTestCase):
    def filtered(self, images, filters, code=0):
        path = self.folder / "images.npy"
        numpy.save(path, images)
        return self.extracted(path, "--filter", filters, code=code)

    def assert_near(self, result, expected, what, tolerance=None):
        self.assertEqual((result.dtype, result.shape), (expected.dtype, expected.shape), what)
        if tolerance is None:
            tolerance = {"float32": 2e-6, "float64": 1e-12}.get(result.dtype.name, 1)
        numpy.testing.assert_allclose(result.astype(float), expected.astype(float), atol=tolerance, rtol=0, err_msg=what)

    def test_gaussian(self):
        cases = (("uint8", 3, 4, 1.5, "symmetric"), ("uint16", 3, 9, 0.8, "edge"), ("int16", 1, 1, 1, "reflect"),
                 ("float32", 4, 0, 2, "reflect"))
        for dtype, channels, sigma_x, sigma_y, edge in cases:
            images = random_images(dtype, channels=channels)
            expected = as_type(of_planes(images, lambda plane: gaussian(plane, sigma_x, sigma_y, dtype, edge)), dtype)
            text = f"gaussian=sigma_x={sigma_x}:sigma_y={sigma_y}:edge={edge}"
            # OpenCV's weights for uint8 and uint16 are rounded to 8 and 16 bits.
            self.assert_near(self.filtered(images, text), expected, f"{text} {dtype}", 2 if dtype[0] == "u" else None)
        images = random_images("float64")
        result = self.filtered(images, "gaussian=2.5")
        expected = numpy.array([ndimage.gaussian_filter(image, 2.5, mode="mirror") for image in images])
        self.assert_near(result, expected, "scipy's own", 1e-12)

    def test_box(self):
        cases = (("uint8", 2, 4, 2, "symmetric"), ("uint16", 1, 31, 40, "symmetric"), ("int16", 3, 1, 6, "edge"),
                 ("float32", 1, 2, 3, "reflect"))
        for dtype, channels, width, height, edge in cases:
            images = random_images(dtype, channels=channels)
            expected = as_type(of_planes(images, lambda plane: box(plane, width, height, edge)), dtype)
            text = f"box=width={width}:height={height}:edge={edge}"
            self.assert_near(self.filtered(images, text), expected, f"{text} {dtype}")
        images = random_images("float64")
        result = self.filtered(images, "box=4:edge=edge")
        expected = numpy.array([ndimage.uniform_filter(image, 4, mode="nearest") for image in images])
        self.assert_near(result, expected, "scipy's own", 1e-12)

    def test_median(self):
        cases = (("uint8", 2, 7, "reflect"), ("uint8", 3, 5, "edge"), ("uint16", 1, 25, "edge"),
                 ("float32", 4, 3, "symmetric"), ("float32", 1, 11, "reflect"))
        for dtype, channels, size, edge in cases:
            images = random_images(dtype, channels=channels)
            expected = as_type(of_planes(images, lambda plane: median(plane, size, edge)), dtype)
            numpy.testing.assert_array_equal(self.filtered(images, f"median={size}:edge={edge}"), expected,
                                             f"{dtype} {channels} {size} {edge}")

    def test_what_is_missing_does_not_spread(self):
        cases = {"gaussian=3": lambda plane: without_missing(plane, lambda p: gaussian(p, 3, 3, "float32")),
                 "box=4": lambda plane: without_missing(plane, lambda p: box(p, 4, 4)),
                 "median=5:edge=reflect": lambda plane: median(plane, 5, "reflect"),
                 "median=7": lambda plane: median(plane, 7)}
        for text, reference in cases.items():
            images = with_missing("float32", 3 if "3" in text else 1)
            filled = of_planes(images, reference)
            self.assert_near(self.filtered(images, text + ":missing=fill"), filled.astype("float32"), text)
            kept = numpy.where(numpy.isfinite(images), filled, images)
            self.assert_near(self.filtered(images, text), kept.astype("float32"), text)

    def test_sharpen(self):
        for dtype, channels, amount, radius in (("uint8", 3, 2, 3), ("uint16", 1, 0.7, 1), ("float32", 3, 5, 2)):
            images = random_images(dtype, channels=channels)
            blurred = of_planes(images, lambda plane: gaussian(plane, radius, radius, dtype))
            expected = as_type(images + amount * (images - blurred), dtype)
            text = "sharpen" if (amount, radius) == (0.7, 1) else f"sharpen={amount}:{radius}"
            self.assert_near(self.filtered(images, text), expected, f"{text} {dtype}",
                             amount * 1e-5 if dtype.startswith("float") else 1 + amount)
        images = with_missing("float32")
        blurred = of_planes(images, lambda plane: without_missing(plane, lambda p: gaussian(p, 1, 1, "float32")))
        with numpy.errstate(invalid="ignore"):
            expected = numpy.where(numpy.isfinite(images), images + 0.7 * (images - blurred), images)
        self.assert_near(self.filtered(images, "sharpen"), expected.astype("float32"), "missing", 1e-5)

    def test_small_images_and_crops(self):
        for shape, dtype, edge in (((1, 1), "uint8", "edge"), ((1, 7), "uint16", "symmetric"), ((2, 3), "float32", "edge")):
            images = random_images(dtype, shape)
            expected = as_type(of_planes(images, lambda plane: gaussian(plane, 2, 2, dtype, edge)), dtype)
            self.assert_near(self.filtered(images, f"gaussian=2:edge={edge}"), expected, f"{shape} {dtype}")
        images = random_images("uint16", (30, 40), 3)
        chain = "gaussian=2,box=5,median,median=9,sharpen"
        numpy.testing.assert_array_equal(self.filtered(images, f"crop=7:5:24:20,{chain}"),
                                         self.filtered(images[:, 5:25, 7:31], chain))

    def test_refused(self):
        numpy.save(self.folder / "whole.npy", random_images("int16"))
        for text, word, code in (("median", "uint16", 1), ("median=4", "odd", 2), ("gaussian=-1", "sigma=-1", 2),
                                 ("box=edge=wrap", "reflect", 2)):
            result = self.ok("extract", self.folder / "whole.npy", self.folder / "out.npy", "--filter", text, code=code)
            self.assert_refused(result, code, word)


if __name__ == "__main__":
    unittest.main()
