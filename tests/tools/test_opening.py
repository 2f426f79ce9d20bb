"""How recordings are opened: --crop and --open, and what is refused."""
import unittest

import numpy

from store_program import HERE, StoreTestCase, numbered_stack

X, Y, WIDTH, HEIGHT = 5, 3, 40, 21
CROP = f"{X}:{Y}:{WIDTH}:{HEIGHT}"


class Crop(StoreTestCase):
    def setUp(self):
        super().setUp()
        self.images = numbered_stack(5, 48, 64, 3)
        self.array = self.folder / "stack.npy"
        numpy.save(self.array, self.images)
        self.store = self.save_stack(self.images, "store", "--format", "png")
        self.part = self.images[:, Y:Y + HEIGHT, X:X + WIDTH]

    def test_every_kind_of_recording(self):
        for recording in (self.array, self.store):
            numpy.testing.assert_array_equal(self.extracted(recording, "--crop", CROP), self.part)
            facts = self.json_of("get", recording, "--index", 3, "--crop", CROP)
            self.assertEqual(facts["shape"], [HEIGHT, WIDTH, 3])

    def test_save(self):
        for recording in (self.array, self.store):
            saved = self.folder / f"saved_{recording.name}"
            self.ok("save", recording, saved, "--crop", CROP, "--format", "npy", "--step", 2)
            self.assertEqual(self.json_of("info", saved)["image_shape"], [HEIGHT, WIDTH, 3])
            numpy.testing.assert_array_equal(self.extracted(saved), self.part[::2])

    def test_what_does_not_lie_within(self):
        for recording in (self.array, self.store):
            self.assert_refused(self.ok("get", recording, "--index", 0, "--crop", "30:0:40:10", code=2), 2, "64x48")
        for text in ("1:2:3", "1:2:3:x", "-1:0:3:3", "1:2:3:4:5", "0:0:99999999999:1"):
            self.assert_refused(self.ok("get", self.array, "--index", 0, "--crop", text, code=2), 2, "--crop")


class FormatOptions(StoreTestCase):
    def test_unknown_ones_are_refused(self):
        numpy.save(self.folder / "stack.npy", numbered_stack(2))
        store = self.save_stack(numbered_stack(2))
        for recording in (self.folder / "stack.npy", store):
            for verb in (["info"], ["frames"], ["extra"], ["get", "--index", 0]):
                result = self.ok(*verb, recording, "--open", "nothing=1", code=2)
                self.assert_refused(result, 2, "nothing")
        self.ok("info", store, "--open", "nothing", code=2)

    def test_the_table_of_the_readme_is_right(self):
        readme = (HERE.parent.parent / "README.md").read_text()
        for file_format in self.json_of("formats")["file_formats"]:
            words = [file_format["name"], " ".join(file_format["extensions"]),
                     *("yes" if file_format[key] else "-" for key in ("read", "write")), file_format["tested"] or "-"]
            self.assertIn("| " + " | ".join(words) + " |", readme)

    def test_every_option_is_listed(self):
        formats = self.json_of("formats")["file_formats"]
        self.assertGreater(len(formats), 4)
        for file_format in formats:
            for option in file_format["source_options"] + file_format["options"]:
                self.assertTrue(option["name"] and option["help"], file_format["name"])
            self.assertTrue(file_format["tested"] or not file_format["read"], file_format["name"])


if __name__ == "__main__":
    unittest.main()
