"""Writes and reads NorPix sequences and writes Phantom cine files byte by byte, for the tests of both; it shares nothing
with the program."""
import struct

import cv2
import numpy

HEADER = 1024
LATER_START = 8192


def norpix_header(version=3, width=0, height=0, bits=8, bits_per_pixel=8, image_bytes=0, image_format=100, frames=0,
                  origin=0, true_size=0, rate=25.0, bayer=0, compression=0, description="from Python"):
    header = bytearray(HEADER)
    struct.pack_into("<I24sii", header, 0, 0xFEED, "Norpix seq".encode("utf-16-le"), version, HEADER)
    text = description.encode("utf-16-le")
    header[36:36 + len(text)] = text
    struct.pack_into("<9I", header, 548, width, height, bits_per_pixel, bits, image_bytes, image_format, frames, origin,
                     true_size)
    struct.pack_into("<d", header, 584, rate)
    struct.pack_into("<i", header, 608, bayer)
    struct.pack_into("<I", header, 620, compression)
    return bytes(header)


def stamp(microseconds, version):
    """A time in whole microseconds; version 3 drops what is below a millisecond."""
    seconds, rest = divmod(microseconds, 1000000)
    milliseconds, rest = divmod(rest, 1000)
    return struct.pack("<IH", seconds, milliseconds) + (struct.pack("<H", rest) if version >= 5 else b"")


def write_raw_seq(path, frames, times, version=3, **fields):
    """`frames` is an array of (n, h, w[, 3]), `times` whole microseconds."""
    image_bytes = frames[0].nbytes
    stamp_bytes = 8 if version >= 5 else 6
    true_size = image_bytes + stamp_bytes + 512 - (image_bytes + stamp_bytes) % 512
    item_bits = frames.dtype.itemsize * 8
    channels = frames.shape[3] if frames.ndim == 4 else 1
    known = dict(version=version, width=frames.shape[2], height=frames.shape[1], bits=item_bits,
                 bits_per_pixel=item_bits * channels, image_bytes=image_bytes, true_size=true_size,
                 image_format=100 if channels == 1 else 200)
    known.update(fields)
    content = bytearray(norpix_header(**known))
    content += bytes((LATER_START if version >= 5 else HEADER) - len(content))
    for frame, time in zip(frames, times):
        record = frame.astype(frame.dtype.newbyteorder("<")).tobytes() + stamp(time, version)
        content += record + bytes(true_size - len(record))
    path.write_bytes(content)


def write_compressed_seq(path, files, times, shape, gap, version=3, start=HEADER, **fields):
    """`files` are JPEG or PNG files, `gap` the bytes between the end of one and the next."""
    known = dict(version=version, width=shape[1], height=shape[0], image_format=102)
    known.update(fields)
    content = bytearray(norpix_header(**known))
    content += bytes(start - len(content))
    for file, time in zip(files, times):
        behind = stamp(time, version)
        content += struct.pack("<I", len(file) + 4) + file + behind + bytes(gap - len(behind))
    path.write_bytes(content)


def read_seq(path):
    """(facts of the header, images, times in seconds) of what other programs would read."""
    content = path.read_bytes()
    magic, name, version, header_size = struct.unpack_from("<I24sii", content, 0)
    assert magic == 0xFEED and name.decode("utf-16-le").rstrip("\0") == "Norpix seq" and header_size == HEADER
    names = ("width", "height", "bits_per_pixel", "bits", "image_bytes", "image_format", "frames", "origin",
             "true_size")
    facts = dict(zip(names, struct.unpack_from("<9I", content, 548)), version=version)
    facts["rate"], = struct.unpack_from("<d", content, 584)
    compressed = facts["image_format"] in (1, 2, 102, 201) or struct.unpack_from("<I", content, 620)[0] == 1
    images, times = [], []

    def add_time(place):
        seconds, milliseconds = struct.unpack_from("<IH", content, place)
        microseconds = struct.unpack_from("<H", content, place + 6)[0] if version >= 5 else 0
        times.append(seconds + milliseconds / 1e3 + microseconds / 1e6)

    if not compressed:
        shape = (facts["height"], facts["width"]) + ((3,) if facts["image_format"] == 200 else ())
        start = LATER_START if version >= 5 else HEADER
        for place in range(start, len(content), facts["true_size"]):
            pixels = content[place:place + facts["image_bytes"]]
            images.append(numpy.frombuffer(pixels, f"<u{facts['bits'] // 8}").reshape(shape))
            add_time(place + facts["image_bytes"])
        return facts, images, times
    place = HEADER
    extra = 0
    while place < len(content):
        length, = struct.unpack_from("<I", content, place)
        file = numpy.frombuffer(content[place + 4:place + length], numpy.uint8)
        images.append(cv2.imdecode(file, cv2.IMREAD_UNCHANGED))
        add_time(place + length)
        # As the MATLAB toolbox finds the next one.
        if len(images) == 1 and struct.unpack_from("<I", content, place + length + 8)[0] == 0:
            extra = 8
        place += length + 8 + extra
    return facts, images, times


def pack_bits(image, bits):
    """Values one behind the other without gaps, the most significant bit first."""
    shifts = numpy.arange(bits - 1, -1, -1)
    spread = (image.reshape(-1, 1).astype(numpy.int64) >> shifts) & 1
    return numpy.packbits(spread.astype(numpy.uint8).reshape(-1)).tobytes()


def write_cine(path, frames, times, packed_bits=0, first_number=0, setup_length=5692, compression=0, color_filter=0):
    """`times` are seconds; images lie bottom-up, packed ones top-down."""
    setup_at = 84
    setup = bytearray(setup_length)
    struct.pack_into("<2sH", setup, 140, b"ST", setup_length)
    item_bits = frames.dtype.itemsize * 8
    channels = frames.shape[3] if frames.ndim == 4 else 1
    if setup_length >= 5692:
        struct.pack_into("<I", setup, 768, 500)
        struct.pack_into("<I", setup, 808, color_filter)
        struct.pack_into("<I", setup, 896, packed_bits or item_bits)
    blocks = struct.pack("<IHH", 8 + 8 * len(times), 1002, 1)
    blocks += b"".join(struct.pack("<Q", int(round(time * 2 ** 32))) for time in times)
    blocks += struct.pack("<IHH", 8 + 4 * len(times), 1003, 0) + struct.pack("<I", 2 ** 22) * len(times)
    table_at = setup_at + setup_length + len(blocks)
    header = struct.pack("<2sHHHiIiIIIIQ", b"CI", 44, compression, 1, first_number, len(frames), first_number,
                         len(frames), 44, setup_at, table_at, int(times[0]) << 32)
    bitmap = struct.pack("<IiiHHIIiiII", 40, frames.shape[2], frames.shape[1], 1, item_bits * channels,
                         {0: 0, 10: 256, 12: 1024}[packed_bits], 0, 0, 0, 0, 0)
    records, offsets = b"", []
    for frame in frames:
        offsets.append(table_at + 8 * len(frames) + len(records))
        pixels = pack_bits(frame, packed_bits) if packed_bits else frame[::-1].tobytes()
        records += struct.pack("<II", 8, len(pixels)) + pixels
    table = struct.pack(f"<{len(offsets)}Q", *offsets)
    path.write_bytes(header + bitmap + bytes(setup) + blocks + table + records)
