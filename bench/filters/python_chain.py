"""crop, clahe, resize and text with numpy and OpenCV: the part of bench/filters that is not C++.

Called with one JSON object; prints one with seconds, cpu_seconds and frames. Frames come from a memory-mapped .npy or,
by VideoCapture, from a video, and go to a .npy, which is mapped too. Starting Python and importing are not timed.
"""

import json
import sys
import time

import cv2
import numpy


def frames_of(request):
    if request["input"].endswith(".npy"):
        yield from numpy.load(request["input"], mmap_mode="r")
        return
    video = cv2.VideoCapture(request["input"])
    while True:
        there, image = video.read()
        if not there:
            return
        yield image


def equalized(clahe, image):
    if image.ndim == 2:
        return clahe.apply(image)
    lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)
    lab[..., 0] = clahe.apply(lab[..., 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2BGR)


def main():
    request = json.loads(sys.argv[1])
    if request["threads"]:
        cv2.setNumThreads(request["threads"])
    x, y, width, height = request["crop"]
    cpu_start, start = time.process_time(), time.perf_counter()
    clahe = cv2.createCLAHE(request["clip"], (request["tiles"], request["tiles"]))
    out = None
    count = 0
    for image in frames_of(request):
        image = equalized(clahe, image[y : y + height, x : x + width])
        image = cv2.resize(image, tuple(request["size"]), interpolation=cv2.INTER_AREA)
        for color, thickness in ((0, 3), (255, 1)):
            cv2.putText(image, str(count), (12, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (color,) * 3, thickness, cv2.LINE_AA)
        if out is None:
            shape = (request["frames"],) + image.shape
            out = numpy.lib.format.open_memmap(request["output"], "w+", numpy.uint8, shape)
        out[count] = image
        count += 1
    out.flush()
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "frames": count}))


if __name__ == "__main__":
    main()
