"""Writes and reads frames with h5py and zarr, and reads them with PyAV: the part of bench/formats that is not C++.

Called with one JSON object (see python_access.cpp). "write" prints the files it made and their sizes; "read" prints
seconds, cpu_seconds, frames and the count of frames whose pixels are not those of the array.
"""

import json
import os
import sys
import time

import numpy


def size_of(path):
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)


def write(request):
    import h5py
    import numcodecs
    import zarr

    frames = numpy.load(request["array"], mmap_mode="r")
    chunk = (1, *frames.shape[1:])
    files = []

    def note(name, peer, path):
        files.append({"name": name, "peer": peer, "path": path, "bytes": size_of(path)})

    path = os.path.join(request["folder"], "gzip.h5")
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("frames", frames.shape, frames.dtype, chunks=chunk, compression="gzip")
        for index, frame in enumerate(frames):
            dataset[index] = frame
    note("h5py, gzip", "h5py", path)

    bitshuffle = numcodecs.Blosc(cname="zstd", clevel=1, shuffle=numcodecs.Blosc.BITSHUFFLE)
    for name, compressor in (
        ("zarr, Zstd(level=1)", numcodecs.Zstd(level=1)),
        ("zarr, Blosc(zstd, 1, BITSHUFFLE)", bitshuffle),
    ):
        path = os.path.join(request["folder"], f"{len(files)}.zarr")
        array = zarr.open(path, "w", shape=frames.shape, chunks=chunk, dtype=frames.dtype, compressor=compressor)
        for index, frame in enumerate(frames):
            array[index] = frame
        note(name, "zarr", path)
    return {"files": files}


def h5py_reader(path):
    import h5py

    dataset = h5py.File(path, "r")["frames"]
    return lambda index: dataset[index]


def zarr_reader(path):
    import numcodecs.blosc
    import zarr

    numcodecs.blosc.use_threads = False
    array = zarr.open(path, "r")
    return lambda index: array[index]


def av_reader(path):
    import av

    av.logging.set_level(av.logging.ERROR)
    container = av.open(path)
    stream = container.streams.video[0]
    stream.thread_type = "NONE"
    stream.codec_context.thread_count = 1

    def read(index):
        pts = (stream.start_time or 0) + round(index / stream.average_rate / stream.time_base)
        container.seek(pts, stream=stream)
        for frame in container.decode(stream):
            if frame.pts >= pts:
                # The plane as it is; to_ndarray() would send it through swscale.
                plane = frame.planes[0]
                dtype = numpy.uint8 if frame.format.name == "gray" else numpy.uint16
                row_items = plane.line_size // numpy.dtype(dtype).itemsize
                rows = numpy.frombuffer(plane, dtype).reshape(frame.height, row_items)
                return rows[:, : frame.width].copy()
        return None

    return read


READERS = {"h5py": h5py_reader, "zarr": zarr_reader, "av": av_reader}


def read(request):
    frames = numpy.load(request["array"], mmap_mode="r")
    reader = READERS[request["peer"]](request["file"])
    reader(0)
    seconds = 0.0
    cpu_seconds = 0.0
    wrong = 0
    for index in request["indices"]:
        cpu_start, start = time.process_time(), time.perf_counter()
        image = reader(index)
        seconds += time.perf_counter() - start
        cpu_seconds += time.process_time() - cpu_start
        wrong += not (isinstance(image, numpy.ndarray) and numpy.array_equal(image, frames[index]))
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "frames": len(request["indices"]), "wrong": wrong}


def main():
    request = json.loads(sys.argv[1])
    print(json.dumps({"write": write, "read": read}[request["do"]](request)))


if __name__ == "__main__":
    main()
