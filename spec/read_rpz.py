"""Unpacks a .rpz file (format.md, "Predicted pixels") with numpy and libzstd only: read_rpz.py FILE.rpz OUT.npy"""
import ctypes, ctypes.util, io, struct, sys, zlib, numpy

zstd = ctypes.CDLL(ctypes.util.find_library("zstd"))
zstd.ZSTD_findFrameCompressedSize.restype = zstd.ZSTD_decompress.restype = ctypes.c_size_t
zstd.ZSTD_findFrameCompressedSize.argtypes, zstd.ZSTD_decompress.argtypes = ([ctypes.c_void_p, ctypes.c_size_t] * n for n in (1, 2))
def average(a, b): return (a | b) - ((a ^ b) >> 1)

def restore(residuals, predictor):
    height, width = residuals.shape
    p = numpy.zeros((height + 1, width + 2), residuals.dtype)  # a row of zeros above, a column before and one behind
    for t in range(width + 2 * (height - 1) if width else 0):  # at once: one sample of each row, two columns apart
        y = numpy.arange(max(0, (t - width + 2) // 2), min(height, t // 2 + 1))
        x = t - 2 * y
        above = p[y, x + 1]
        left, corner = (numpy.where(x == 0, above, v) for v in (p[y + 1, x], p[y, x]))
        mean = average(left, average(above, numpy.where(x == width - 1, above, p[y, x + 2])))
        plane = left + above - numpy.clip(corner, numpy.minimum(left, above), numpy.maximum(left, above))
        p[y + 1, x + 1] = residuals[y, x] + (0 * above, left, above, mean, plane)[predictor - 1]
    return p[1:, 1:width + 1]

def ungroup(groups, shapes):
    for height, width in shapes:
        sizes = numpy.full((width + 15) // 16 + 2, 32)
        for y in range(height):
            weighted = sizes[:-2] + 2 * sizes[1:-1] + sizes[2:]
            for piece, group in enumerate(numpy.searchsorted([20, 40, 72, 128, 224, 400, 720], weighted, "right")):
                taken, groups[group] = numpy.split(groups[group], [min(16, width - 16 * piece)])
                sizes[piece + 1] = numpy.minimum(taken, -taken).sum()
                yield taken
            sizes[0], sizes[-1] = sizes[1], sizes[-2]

def undo(streams, predictor, step, flags, h, w, c, kind, item):
    image, top = numpy.empty((h, w, c), "<u%d" % item), 1 << 8 * item - 1
    if not predictor: return streams[0].view(image.dtype).reshape(image.shape)
    planes = [image[y::step, x::step, i] for y in range(step) for x in range(step) for i in range(c)]
    if flags & 2: streams = [numpy.concatenate(list(ungroup(streams, [plane.shape for plane in planes])))]
    z = sum(stream.astype(image.dtype) << 8 * b for b, stream in enumerate(streams))
    if item > 1: z = (z >> 1) ^ -(z & 1)
    for plane, part in zip(planes, numpy.split(z, numpy.cumsum([plane.size for plane in planes]))):
        plane[:] = restore(part.reshape(plane.shape), predictor)
    if flags & 1: image[..., ::2] += image[..., 1:2] - top
    return {b"u": image, b"i": image ^ top, b"f": numpy.where(image & top, image ^ top, ~image)}[kind]

data, at, images, streams = numpy.fromfile(sys.argv[1], "u1"), 0, [], []
while at < len(data):
    magic, size = data[at:at + 4].view("<u4")[0], zstd.ZSTD_findFrameCompressedSize(data.ctypes.data + at, len(data) - at)
    assert size <= len(data) - at, "cut off"
    if magic == 0x184D2A56: shape, _, dtype = numpy.lib.format.read_array_header_1_0(io.BytesIO(data[at + 16:at + size].tobytes()))
    if magic == 0x184D2A57:
        header = struct.unpack("<BBBBIIHcBI", data[at + 8:at + size].tobytes())
        assert header[0] == 1 and header[-1] == zlib.crc32(data[at + 8:at + size - 4].tobytes()), "damaged header"
    if magic == 0xFD2FB528:
        out = numpy.empty(numpy.prod(header[4:7] + header[8:9]), "u1")
        assert (done := zstd.ZSTD_decompress(out.ctypes.data, out.size, data.ctypes.data + at, size)) <= out.size, "damaged pixels"
        streams.append(out[:done])
        if len(streams) == (8 if header[3] & 2 else header[8] if header[1] else 1):
            images, streams = images + [undo(streams, *header[1:9]).view(dtype)], []
    at += size
numpy.save(sys.argv[2], numpy.array(images, dtype).reshape((-1,) + shape[1:]))
