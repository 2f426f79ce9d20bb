"""Writes and reads files of images with tifffile, PIL, scipy and h5py: the part of bench/files that is not C++.

Called with one JSON object. "write" writes what is not written by C++, and prints where the
pixels of plain.tif begin; "read" prints seconds, cpu_seconds, frames and the count of
frames whose pixels are not those of the array.
"""

import json
import os
import sys
import time

import numpy


def write(request):
    import h5py
    import scipy.io
    import tifffile
    from PIL import Image

    frames = numpy.load(request["array"])
    folder = request["folder"]
    tifffile.imwrite(os.path.join(folder, "plain.tif"), frames)
    tifffile.imwrite(os.path.join(folder, "deflate.tif"), frames, compression="zlib")
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(os.path.join(folder, "lzw.tif"), save_all=True, append_images=pictures[1:], compression="tiff_lzw")
    indexed = [picture.convert("P") for picture in pictures]
    indexed[0].save(os.path.join(folder, "clip.gif"), save_all=True, append_images=indexed[1:], duration=40)
    scipy.io.savemat(os.path.join(folder, "version5.mat"), {"stack": numpy.moveaxis(frames, 0, -1)})
    # HDF5 has MATLAB's axes in the other order.
    turned = frames.transpose(0, 2, 1)
    for name, options in (("version73.mat", {}), ("version73_gzip.mat", {"chunks": (1, *turned.shape[1:]), "compression": "gzip"})):
        path = os.path.join(folder, name)
        with h5py.File(path, "w", userblock_size=512) as file:
            data = file.create_dataset("stack", data=turned, **options)
            data.attrs["MATLAB_class"] = numpy.bytes_("uint8")
        with open(path, "r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    with tifffile.TiffFile(os.path.join(folder, "plain.tif")) as file:
        return {"tiff_start": file.pages[0].dataoffsets[0]}


def tifffile_reader(path):
    import tifffile

    file = tifffile.TiffFile(path)
    return lambda index: file.pages[index].asarray()


def pil_reader(path):
    from PIL import Image

    image = Image.open(path)

    def read(index):
        image.seek(index)
        return numpy.asarray(image.convert("L"))

    return read


def scipy_reader(path):
    import scipy.io

    stack = scipy.io.loadmat(path)["stack"]
    return lambda index: numpy.ascontiguousarray(stack[:, :, index])


def h5py_reader(path):
    import h5py

    data = h5py.File(path, "r")["stack"]
    return lambda index: numpy.ascontiguousarray(data[index].T)


READERS = {"tifffile": tifffile_reader, "PIL": pil_reader, "scipy": scipy_reader, "h5py": h5py_reader}


def read(request):
    frames = numpy.load(request["array"])
    reader_of = READERS[request["reader"]]
    # Imports are no part of reading.
    reader_of(request["file"])(0)
    in_order = request["in_order"]
    cpu_start, start = time.process_time(), time.perf_counter()
    reader = reader_of(request["file"])
    if not in_order:
        reader(0)
        cpu_start, start = time.process_time(), time.perf_counter()
    seconds = time.perf_counter() - start
    cpu_seconds = time.process_time() - cpu_start
    wrong = 0
    for index in request["indices"]:
        cpu_start, start = time.process_time(), time.perf_counter()
        image = reader(index)
        seconds += time.perf_counter() - start
        cpu_seconds += time.process_time() - cpu_start
        wrong += not numpy.array_equal(image, frames[index])
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "frames": len(request["indices"]), "wrong": wrong}


def main():
    request = json.loads(sys.argv[1])
    print(json.dumps({"write": write, "read": read}[request["do"]](request)))


if __name__ == "__main__":
    main()
