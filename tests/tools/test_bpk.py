"""Image folders of bloscpack files, written and read by code that knows nothing of reelstore: struct, zlib and Blosc."""
import hashlib
import json
import struct
import unittest
import zlib

import numcodecs.blosc
import numpy

from store_program import StoreTestCase, hash_of_pixels, numbered_stack

CHECKSUMS = [(0, lambda data: b""), (4, lambda data: struct.pack("<I", zlib.adler32(data))),
             (4, lambda data: struct.pack("<I", zlib.crc32(data)))]
CHECKSUM_NAMES = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"]


def digest(kind, data):
    return CHECKSUMS[kind][1](data) if kind < 3 else hashlib.new(CHECKSUM_NAMES[kind - 3], data).digest()


def unpack(path):
    """The array in a bloscpack file, as bloscpack's unpack_ndarray_from_file() reads it."""
    data = path.read_bytes()
    magic, version, options, checksum, typesize, chunk_size, last_chunk, chunks, room = \
        struct.unpack_from("<4sBBBBiiqq", data)
    assert magic == b"blpk" and version == 3 and options == 3
    meta_format, meta_options, meta_checksum, codec, level, size, space, stored = \
        struct.unpack_from("<8sBBBBIII", data, 32)
    assert meta_format.strip(b"\0") == b"JSON" and meta_options == 0
    text = data[64:64 + stored]
    place = 64 + space
    expected = digest(meta_checksum, text)
    assert data[place:place + len(expected)] == expected
    place += len(expected)
    metadata = json.loads(zlib.decompress(text) if codec else text)
    assert metadata["container"] == "numpy" and len(zlib.decompress(text) if codec else text) == size
    offsets = struct.unpack_from(f"<{chunks}q", data, place)
    place += 8 * (chunks + room)
    pixels = b""
    for number in range(chunks):
        assert offsets[number] == place
        stored = struct.unpack_from("<I", data, place + 12)[0]
        chunk = data[place:place + stored]
        place += stored
        expected = digest(checksum, chunk)
        assert data[place:place + len(expected)] == expected
        place += len(expected)
        elements = numcodecs.blosc.decompress(chunk)
        assert len(elements) == (last_chunk if number == chunks - 1 else chunk_size)
        pixels += elements
    assert place == len(data)
    dtype = numpy.dtype(metadata["dtype"].strip("'"))
    assert typesize == dtype.itemsize
    return numpy.frombuffer(pixels, dtype).reshape(metadata["shape"], order=metadata["order"])


def pack(path, array, codec=b"blosclz", level=7, shuffle=1, checksum=1, chunk_size=1 << 20, meta_codec=1):
    """Writes an array as bloscpack's pack_ndarray_to_file() does."""
    order = "F" if numpy.isfortran(array) else "C"
    text = json.dumps({"dtype": repr(array.dtype.str), "shape": array.shape, "order": order, "container": "numpy"},
                      separators=(",", ":")).encode()
    flat = array.ravel(order="K")
    parts = [flat[i:i + chunk_size // array.itemsize] for i in range(0, flat.size, chunk_size // array.itemsize)]
    stored = zlib.compress(text, 6) if meta_codec else text
    space = 10 * len(text)
    data = struct.pack("<4sBBBBiiqq", b"blpk", 3, 3, checksum, array.itemsize, min(chunk_size, array.nbytes),
                       parts[-1].nbytes, len(parts), 10 * len(parts))
    data += struct.pack("<8sBBBBIII8s", b"JSON", 0, 1, meta_codec, 6 * meta_codec, len(text), space, len(stored), b"")
    data += stored.ljust(space, b"\0") + digest(1, stored)
    place = len(data) + 8 * 11 * len(parts)
    offsets, chunks = [], b""
    for part in parts:
        chunk = numcodecs.blosc.compress(part.copy(), codec, level, shuffle)
        offsets.append(place + len(chunks))
        chunks += chunk + digest(checksum, chunk)
    offsets += [-1] * (10 * len(parts))
    path.write_bytes(data + struct.pack(f"<{len(offsets)}q", *offsets) + chunks)


class Bpk(StoreTestCase):
    def test_others_read_what_is_written(self):
        for dtype in ("uint8", "uint16", "float32"):
            for channels in (1, 3) if dtype == "uint16" else (1,):
                images = numbered_stack(5, channels=channels, dtype=numpy.dtype(dtype))
                name = f"{dtype}_{channels}"
                options = ["--format", "bpk", "--chunk-frames", 3]
                if dtype == "uint16":
                    options += ["--set", "codec=zstd", "--set", "level=1", "--set", "shuffle=bit"]
                store = self.save_stack(images, name, *options)
                for index, image in enumerate(images):
                    path = store / f"{index // 3:06d}" / f"{index % 3:06d}.bpk"
                    numpy.testing.assert_array_equal(unpack(path), image)
                numpy.testing.assert_array_equal(self.extracted(store), images)
        facts = self.json_of("info", store)
        self.assertEqual((facts["class"], facts["format"], facts["lossless"]), ("DirectoryImgStore", "bpk", True))

    def test_several_blocks(self):
        image = numpy.random.default_rng(1).integers(0, 65536, (900, 1300), dtype=numpy.uint16)
        store = self.save_stack(image[None], "large", "--format", "bpk")
        numpy.testing.assert_array_equal(unpack(store / "000000/000000.bpk"), image)
        self.assertEqual(self.json_of("get", store, "--index", 0)["sha256"], hash_of_pixels(image))

    def test_what_others_write_is_read(self):
        image = numbered_stack(1, channels=3, dtype=numpy.uint16)[0]
        gray = numpy.random.default_rng(2).normal(size=(700, 900)).astype(numpy.float32)
        gray[0, :3] = numpy.nan, numpy.inf, -numpy.inf
        cases = {
            "plain": (image, {}), "fortran": (numpy.asfortranarray(image), {}), "fortran_gray": (numpy.asfortranarray(gray), {}),
            "big_endian": (image.astype(">u2"), {}), "big_fortran": (numpy.asfortranarray(gray.astype(">f4")), {}),
            "bool": (image[..., 0] > 20000, {}), "int8": (image[..., 0].astype(numpy.int8), {}),
            "half": (gray.astype(numpy.float16), {}), "small_chunks": (gray, {"chunk_size": 4096, "checksum": 2}),
            "plain_metadata": (image, {"meta_codec": 0, "checksum": 0}), "bits": (image, {"shuffle": 2, "codec": b"lz4"}),
            "stored": (image, {"level": 0, "shuffle": 0}),
        }
        for number, codec in enumerate([b"lz4", b"lz4hc", b"zlib", b"zstd"]):
            cases[f"codec_{number}"] = (gray, {"codec": codec, "checksum": 3 + number})
        cases["sha384"], cases["sha512"] = (gray, {"checksum": 7}), (gray, {"checksum": 8})
        for name, (array, options) in cases.items():
            with self.subTest(name):
                path = self.folder / f"{name}.bpk"
                pack(path, array, **options)
                numpy.testing.assert_array_equal(unpack(path), array)
                expected = array.astype(array.dtype.newbyteorder("<")) if array.dtype != bool else array.astype(numpy.uint8)
                facts = self.json_of("get", path, "--index", 0)
                self.assertEqual(facts["dtype"], expected.dtype.name)
                self.assertEqual(facts["sha256"], hash_of_pixels(expected))

    def test_a_store_of_imgstore(self):
        """imgstore keeps a frame as bloscpack makes it by default."""
        images = numbered_stack(4, dtype=numpy.uint16)
        store = self.save_stack(images, "store", "--format", "bpk")
        (store / "index.sqlite").unlink()
        for number, image in enumerate(images):
            pack(store / "000000" / f"{number:06d}.bpk", image)
        numpy.testing.assert_array_equal(self.extracted(store), images)

    def test_files(self):
        images = numbered_stack(3, channels=3, dtype=numpy.uint16)
        store = self.save_stack(images, "store", "--format", "png")
        self.ok("get", store, "--index", 2, "-o", self.folder / "two.bpk")
        numpy.testing.assert_array_equal(unpack(self.folder / "two.bpk"), images[2])
        self.ok("extract", store, self.folder / "out/f_{:03d}.bpk")
        for number, image in enumerate(images):
            numpy.testing.assert_array_equal(unpack(self.folder / f"out/f_{number:03d}.bpk"), image)
        again = self.folder / "again"
        self.ok("save", self.folder / "out", again, "--format", "tif", "--time", "fps:25")
        numpy.testing.assert_array_equal(self.extracted(again), images)
        self.assertEqual(self.json_of("info", self.folder / "two.bpk")["dtype"], "uint16")

    def test_damage(self):
        images = numbered_stack(3)
        store = self.save_stack(images, "store", "--format", "bpk")
        path = store / "000000/000001.bpk"
        data = bytearray(path.read_bytes())
        data[-20] ^= 1
        path.write_bytes(data)
        self.assert_refused(self.ok("get", store, "--index", 1, "--json", code=1), 1, "000001.bpk")
        numpy.testing.assert_array_equal(self.extracted(store, code=3), images[[0, 2]])
        self.assert_refused(self.ok("get", path, "--index", 0, "--json", code=1), 1, "checksum", "000001.bpk")


if __name__ == "__main__":
    unittest.main()
