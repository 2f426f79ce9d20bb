"""Colormaps, masks, channels and raw layouts against the same done with numpy and OpenCV's Python module."""
import unittest

import cv2
import numpy

from store_program import StoreTestCase

HEIGHT, WIDTH, COUNT = 37, 70, 3
BLACK = (0, 0, 0)

# From their definitions: ColorBrewer's schemes (colorbrewer.org) of 9 and 11 colours, RGB.
PURPLES = "fcfbfd efedf5 dadaeb bcbddc 9e9ac8 807dba 6a51a3 54278f 3f007d"
RD_BU = "67001f b2182b d6604d f4a582 fddbc7 f7f7f7 d1e5f0 92c5de 4393c3 2166ac 053061"
# Of the 33 colours of coolwarm that Moreland published (2009): every fourth.
COOLWARM = {0: (59, 76, 192), 4: (98, 130, 234), 8: (141, 176, 254), 12: (184, 208, 249), 16: (221, 221, 221),
            20: (245, 196, 173), 24: (244, 154, 123), 28: (222, 96, 77), 32: (180, 4, 38)}


def colors_of_opencv(name):
    code = getattr(cv2, f"COLORMAP_{name.upper()}")
    return cv2.applyColorMap(numpy.arange(256, dtype=numpy.uint8)[None], code)[0]


def mixed(colors):
    """256 BGR colours between hexadecimal RGB colours at equal distances."""
    points = numpy.array([[int(color[i:i + 2], 16) for i in (4, 2, 0)] for color in colors.split()], float)
    places = numpy.linspace(0, len(points) - 1, 256)
    return numpy.stack([numpy.interp(places, numpy.arange(len(points)), points[:, i]) for i in range(3)], axis=1)


def mapped(values, low, high, colors, below=None, above=None, nan=BLACK):
    """BGR images of values, in the arithmetic of their type; integers exactly."""
    if values.dtype.kind == "f":
        low, high = values.dtype.type(low), values.dtype.type(high)
        with numpy.errstate(invalid="ignore"):
            places = (values - low) / (high - low) * 256 if high > low else numpy.zeros_like(values)
    else:
        values, low, high = values.astype(numpy.int64), int(low), int(high)
        places = (values - low) * 256 // (high - low)
    places = numpy.nan_to_num(numpy.clip(places, 0, 255), nan=0).astype(int)
    result = numpy.asarray(colors)[places]
    result[values < low] = colors[0] if below is None else below
    result[values > high] = colors[255] if above is None else above
    result[values != values] = nan
    return result.astype(numpy.uint8)


def random_stack(dtype, channels=1, seed=3):
    random = numpy.random.default_rng(seed)
    shape = (COUNT, HEIGHT, WIDTH) if channels == 1 else (COUNT, HEIGHT, WIDTH, channels)
    if numpy.dtype(dtype).kind == "f":
        return random.normal(0.5, 0.4, shape).astype(dtype)
    limits = numpy.iinfo(dtype)
    return random.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


class ColorFilterTestCase(StoreTestCase):
    def filtered(self, images, filters, code=0):
        path = self.folder / "images.npy"
        numpy.save(path, images)
        return self.extracted(path, "--filter", filters, code=code)

    def refused(self, images, filters, code, *words):
        numpy.save(self.folder / "images.npy", images)
        result = self.ok("extract", self.folder / "images.npy", self.folder / "x.npy", "--filter", filters, code=code)
        self.assert_refused(result, code, *words)
        self.assertFalse((self.folder / "x.npy").exists())

    def mask_file(self, image, name="mask.png"):
        path = self.folder / name
        if name.endswith(".npy"):
            numpy.save(path, image)
        else:
            cv2.imwrite(str(path), image)
        return path


class Colormaps(ColorFilterTestCase):
    def test_colors(self):
        ramp = numpy.arange(256, dtype=numpy.uint8).reshape(1, 16, 16)
        for name, expected in (("Viridis", colors_of_opencv("viridis")), ("purples", mixed(PURPLES)),
                               ("RdBu_r", mixed(RD_BU)[::-1])):
            result = self.filtered(ramp, f"colormap={name}").reshape(256, 3)
            numpy.testing.assert_allclose(result, expected, atol=0.5, err_msg=name)
        coolwarm = self.filtered(ramp, "colormap=coolwarm").reshape(256, 3).astype(float)
        for place, rgb in COOLWARM.items():
            color = [numpy.interp(place * 255 / 32, numpy.arange(256), coolwarm[:, 2 - i]) for i in range(3)]
            numpy.testing.assert_allclose(color, rgb, atol=1)
        place = numpy.arange(256) / 255
        angle = 2 * numpy.pi * (0.5 / 3 - 1.5 * place)
        helix = numpy.array([[1.97294, 0], [-0.29227, -0.90649], [-0.14861, 1.78277]])
        expected = place + place * (1 - place) / 2 * (helix @ [numpy.cos(angle), numpy.sin(angle)])
        result = self.filtered(ramp, "colormap=cubehelix").reshape(256, 3)
        numpy.testing.assert_allclose(result, numpy.clip(expected.T * 255, 0, 255), atol=0.5 + 1e-9)

    def test_ranges(self):
        colors = colors_of_opencv("viridis")
        for dtype, limits, texts in (("uint8", (30, 131), ("", "range=recording")),
                                     ("uint16", (1000, 50000), ("LIMITS", "", "range=frame")),
                                     ("int16", (-2000, 3001), ("LIMITS",)),
                                     ("int32", (-(10 ** 9), 10 ** 9), ("LIMITS",)),
                                     ("float32", (0.1, 0.9), ("LIMITS", "", "range=type", "range=frame")),
                                     ("float64", (-0.3, 1.1), ("",))):
            images = random_stack(dtype)
            images[1] = images[1] // 3 if numpy.dtype(dtype).kind != "f" else images[1] / 3
            if numpy.dtype(dtype).kind == "f":
                images[0, 3, 4], images[1, 5, 6:8] = numpy.nan, (numpy.inf, -numpy.inf)
            of_frames = [(frame[numpy.isfinite(frame)].min(), frame[numpy.isfinite(frame)].max()) for frame in images]
            of_all = min(low for low, _ in of_frames), max(high for _, high in of_frames)
            for text in texts:
                if text == "range=frame":
                    expected = numpy.stack([mapped(*one, colors) for one in zip(images, *zip(*of_frames))])
                else:
                    ends = limits if text == "LIMITS" else (0, 1) if text == "range=type" else of_all
                    if dtype == "uint8" and text == "":
                        ends = 0, 255
                    expected = mapped(images, *ends, colors)
                arguments = text.replace("LIMITS", "low={}:high={}".format(*limits))
                result = self.filtered(images, f"colormap=viridis:{arguments}" if arguments else "colormap=viridis")
                numpy.testing.assert_array_equal(result, expected, err_msg=f"{dtype} {text}")
        expected = mapped(images.astype("float32"), of_all[0], 0.25, colors)
        result = self.filtered(images.astype("float32"), "colormap=viridis:high=0.25")
        numpy.testing.assert_array_equal(result, expected)

    def test_large_images_of_16_bits(self):
        colors = colors_of_opencv("turbo")
        images = numpy.arange(2 ** 17, dtype=numpy.uint16).reshape(1, 256, 512)
        for dtype, low, high in (("uint16", 700, 60001), ("int16", -32768, 1234)):
            result = self.filtered(images.astype(dtype), f"colormap=turbo:{low}:{high}:below=white:above='1:2:3'")
            numpy.testing.assert_array_equal(result, mapped(images.astype(dtype), low, high, colors, [255] * 3, [3, 2, 1]))

    def test_values_that_are_none_or_all_the_same(self):
        images = numpy.zeros((5, 4, 6), numpy.float32)
        images[0] = numpy.nan
        images[1] = 7
        images[2, 0, :3] = numpy.inf, -numpy.inf, numpy.nan
        images[3] = numpy.linspace(-3, 3, 24).reshape(4, 6)
        images[4, 0, 0] = numpy.finfo(numpy.float32).max
        hot = colors_of_opencv("hot")
        result = self.filtered(images, "colormap=hot:range=frame:nan=#0000ff:below=lime:above=cyan")
        self.assertTrue((result[0] == (255, 0, 0)).all())
        self.assertTrue((result[1] == hot[0]).all())
        self.assertEqual(result[2, 0, :4].tolist(), [[255, 255, 0], [0, 255, 0], [255, 0, 0], hot[0].tolist()])
        numpy.testing.assert_array_equal(result[3], mapped(images[3], -3, 3, hot))
        self.assertEqual(result[4, 0, :2].tolist(), [hot[255].tolist(), hot[0].tolist()])
        only_nan = self.filtered(images[:1], "colormap=hot:nan=white")
        self.assertTrue((only_nan == 255).all())
        numpy.testing.assert_array_equal(self.filtered(images, "colormap=hot:7:7:above=red:nan='0:0:1'"),
                                         mapped(images, 7, 7, hot, above=[0, 0, 255], nan=[1, 0, 0]))
        one = numpy.full((1, 1, 1), 9, numpy.uint16)
        self.assertEqual(self.filtered(one, "colormap=bone").tolist(), [[[[0, 0, 0]]]])
        wide = numpy.array([[[-1.5e308, 0, 1.5e308, 5e-324]]])
        bone = colors_of_opencv("bone")
        self.assertEqual(self.filtered(wide, "colormap=bone").tolist(),
                         [[[bone[i].tolist() for i in (0, 128, 255, 128)]]])

    def test_after_other_filters(self):
        jet = colors_of_opencv("jet")
        images = random_stack("uint8", 3)
        gray = numpy.stack([cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in images])
        numpy.testing.assert_array_equal(self.filtered(images, "colormap=jet"), jet[gray])
        part = gray[:, 5:25, 11:52]
        numpy.testing.assert_array_equal(self.filtered(images, "gray,crop=11:5:41:20,colormap=jet"), jet[part])
        deep = random_stack("uint16")[:, 5:25, 11:52]
        numpy.testing.assert_array_equal(self.filtered(random_stack("uint16"), "crop=11:5:41:20,colormap=jet"),
                                         mapped(deep, deep.min(), deep.max(), jet))
        path = self.folder / "images.npy"
        numpy.save(path, random_stack("uint16"))
        low, high = (int(edge) for edge in (random_stack("uint16").min(), random_stack("uint16").max()))
        self.ok("get", path, "--index", 2, "-o", self.folder / "one.npy", "--filter", "colormap=jet")
        numpy.testing.assert_array_equal(numpy.load(self.folder / "one.npy"),
                                         mapped(random_stack("uint16")[2], low, high, jet))

    def test_masks(self):
        images = random_stack("float32")
        images[:, :, :9] *= 50
        mask = numpy.full((HEIGHT, WIDTH), 200, numpy.uint8)
        mask[:, :9] = 0
        shown = images[:, :, 9:]
        expected = mapped(images, shown.min(), shown.max(), colors_of_opencv("magma"))
        expected[:, :, :9] = 0, 165, 255
        for name, content in (("mask.png", mask), ("mask.npy", mask > 0)):
            path = self.mask_file(content, name)
            result = self.filtered(images, f"colormap=magma:mask={path}:mask_color=orange")
            numpy.testing.assert_array_equal(result, expected, err_msg=name)
        self.refused(images, f"colormap=magma:mask={self.mask_file(mask[1:])}", 1, "mask", "36x70", "37x70")
        self.refused(images, f"colormap=magma:mask={self.mask_file(mask * 0)}", 2, "mask", "no pixel")

    def test_questions_that_make_no_sense(self):
        images = random_stack("uint8")
        self.refused(images, "colormap=virdis", 2, "did you mean viridis", "Purples", "twilight_shifted")
        self.refused(images, "colormap=jet:mask=/nowhere.png", 1, "nowhere")
        self.refused(random_stack("uint8", 2), "colormap=jet", 1, "channels")


class Channels(ColorFilterTestCase):
    def test_gray_by_weights(self):
        for dtype, tolerance in (("uint8", 0.51), ("float64", 1e-9)):
            images = random_stack(dtype, 3)
            expected = images.astype(float) @ [0.5, 0.3, 0.2]
            result = self.filtered(images, "gray=0.2:0.3:blue=0.5")
            self.assertEqual(result.dtype, images.dtype)
            numpy.testing.assert_allclose(result.astype(float), expected, rtol=0, atol=tolerance)
        deep = random_stack("uint16", 4)
        numpy.testing.assert_array_equal(self.filtered(deep, "gray=red=2"), numpy.minimum(deep[..., 2] * 2.0, 65535))
        result = self.filtered(deep, "gray")
        numpy.testing.assert_array_equal(result, [cv2.cvtColor(image, cv2.COLOR_BGRA2GRAY) for image in deep])

    def test_channels(self):
        images = random_stack("float64", 4)
        numpy.testing.assert_array_equal(self.filtered(images, "swap"), images[..., [2, 1, 0, 3]])
        images = random_stack("uint8", 3)
        numpy.testing.assert_array_equal(self.filtered(images, "swap,channel=red"), images[..., 0])
        many = random_stack("uint16", 6)
        numpy.testing.assert_array_equal(self.filtered(many, "channel=5"), many[..., 5])
        numpy.testing.assert_array_equal(self.filtered(many[..., 0], "channel=0,swap"), many[..., 0])
        self.refused(many, "channel=6", 1, "6 channels", "from 0")
        self.refused(many, "swap", 1, "1, 3 or 4")

    def test_mask(self):
        mask = numpy.zeros((HEIGHT, WIDTH), numpy.uint8)
        cv2.circle(mask, (30, 20), 15, 1, -1)
        path = self.mask_file(mask)
        outside = mask == 0
        for dtype, channels, text, value in (("uint8", 1, "", 0), ("uint8", 3, "color=orange", (0, 165, 255)),
                                             ("float32", 1, "nan", numpy.nan),
                                             ("uint16", 4, "color=#ff0000", (0, 0, 65535, 65535)),
                                             ("int16", 6, "value=-7", -7), ("float32", 1, "color=white", 1)):
            images = random_stack(dtype, channels)
            expected = images.copy()
            expected[:, outside] = value
            result = self.filtered(images, f"mask={path}:{text}" if text else f"mask={path}")
            numpy.testing.assert_array_equal(result, expected, err_msg=f"{dtype} {text}")
        expected = images.copy()
        expected[:, ~outside] = 3
        numpy.testing.assert_array_equal(self.filtered(images, f"mask={path}:3:invert=yes"), expected)
        in_color = numpy.zeros((HEIGHT, WIDTH, 4), numpy.uint8)
        in_color[..., 1], in_color[..., 3] = mask, 255
        result = self.filtered(images, f"mask={self.mask_file(in_color, 'color.png')}:3")
        numpy.testing.assert_array_equal(result, numpy.where(outside, numpy.float32(3), images))
        part = self.mask_file(mask[5:25, 11:52], "part.png")
        result = self.filtered(images, f"crop=11:5:41:20,mask={part}:-1")
        numpy.testing.assert_array_equal(result, numpy.where(outside, numpy.float32(-1), images)[:, 5:25, 11:52])

    def test_masks_that_do_not_fit(self):
        images = random_stack("uint8")
        path = self.mask_file(numpy.ones((HEIGHT, WIDTH), numpy.uint8))
        small = self.mask_file(numpy.ones((HEIGHT, 5), numpy.uint8), "small.png")
        (self.folder / "text.png").write_text("no image")
        for text, code, word in ((f"mask={small}", 1, "37x5"), (f"mask={path}:256", 2, "256"),
                                 (f"mask={self.folder}/text.png", 2, "no image")):
            self.refused(images, text, code, word)

    def test_raw_layouts(self):
        for dtype in ("uint8", "uint16"):
            raw = cv2.GaussianBlur(random_stack(dtype).transpose(1, 2, 0), (5, 5), 0).transpose(2, 0, 1)
            for text, code in (("BayerRG8", cv2.COLOR_BayerBG2BGR), ("cv_bayergr:edge-aware", cv2.COLOR_BayerGR2BGR_EA)):
                result = self.filtered(raw, f"decode={text}")
                numpy.testing.assert_array_equal(result, [cv2.cvtColor(image, code) for image in raw])
        self.refused(raw, "decode=BayerRG8:vng", 1, "vng", "uint16")
        packed = random_stack("uint8", 2)
        numpy.testing.assert_array_equal(self.filtered(packed, "decode=cv_yuv_yuyv"),
                                         [cv2.cvtColor(image, cv2.COLOR_YUV2BGR_YUYV) for image in packed])
        self.refused(packed, "decode=cv_bayerbg", 1, "cv_bayerbg", "1 channel")


if __name__ == "__main__":
    unittest.main()
