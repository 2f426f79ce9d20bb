"""Reads frames of a clip with PyAV: the part of bench/video_access that is not C++.

Called with one JSON object (see pyav_contender.cpp); prints one with seconds, cpu_seconds, frames and the count of wrong
frames.
"""

import json
import sys
import time

import av
import numpy


def open_video(path, threads):
    container = av.open(path)
    stream = container.streams.video[0]
    stream.thread_type = "FRAME" if threads > 1 else "NONE"
    stream.codec_context.thread_count = threads
    return container, stream


def to_array(frame, gray):
    if not gray:
        return frame.to_ndarray(format="bgr24")
    # The luma plane as it is; to_ndarray(format="gray") would send it through swscale.
    plane = frame.planes[0]
    rows = numpy.frombuffer(plane, numpy.uint8).reshape(frame.height, plane.line_size)
    return rows[:, : frame.width].copy()


def shows_number(image, number, barcode_rows):
    """As read_image_number() of base/numbered_frames.h."""
    if image is None:
        return False
    middle = barcode_rows // 2
    row = image[middle - 2 : middle + 2]
    row = (row if row.ndim == 2 else row[:, :, 0]).mean(axis=0)
    shown = 0
    for bar in range(16):
        start, end = (-(-b * len(row) // 16) for b in (bar, bar + 1))
        margin = round((end - start) * 0.2)
        fraction = (row[start + margin : end - margin].mean() - 30) / (220 - 30)
        if 0.4 <= fraction <= 0.6:
            return False
        shown = shown * 2 + (fraction > 0.6)
    return shown == number


class RandomFrames:
    def __init__(self, request):
        self.request = request
        self.file = None
        self.container = None

    def read(self, index):
        file, position = divmod(index, self.request["chunk_frames"])
        if file != self.file:
            if self.container is not None:
                self.container.close()
            self.container, self.stream = open_video(self.request["files"][file], 1)
            self.file = file
        start = self.stream.start_time or 0
        pts = start + round(position / self.request["frame_rate"] / self.stream.time_base)
        self.container.seek(pts, stream=self.stream)
        for frame in self.container.decode(self.stream):
            if frame.pts >= pts:
                return to_array(frame, self.request["gray"])
        return None


def read_at_random(request):
    frames = RandomFrames(request)
    frames.read(0)
    seconds = 0.0
    cpu_seconds = 0.0
    wrong = 0
    for index in request["indices"]:
        start, cpu_start = time.perf_counter(), time.process_time()
        image = frames.read(index)
        seconds += time.perf_counter() - start
        cpu_seconds += time.process_time() - cpu_start
        wrong += not shows_number(image, index, request["barcode_rows"])
    return seconds, cpu_seconds, wrong


def read_in_order(request):
    # What is looked at in between gives the decoder's threads time to run ahead, so it is looked at afterwards.
    strips = []
    rows = request["barcode_rows"]
    count = len(request["indices"])
    start, cpu_start = time.perf_counter(), time.process_time()
    container, stream = open_video(request["files"][0], request["threads"])
    for frame in container.decode(stream):
        strips.append(to_array(frame, request["gray"])[:rows].copy())
        if len(strips) == count:
            break
    seconds = time.perf_counter() - start
    cpu_seconds = time.process_time() - cpu_start
    right = sum(shows_number(strip, index, rows) for strip, index in zip(strips, request["indices"]))
    return seconds, cpu_seconds, count - right


def main():
    av.logging.set_level(av.logging.ERROR)  # full-range video makes swscale warn
    request = json.loads(sys.argv[1])
    seconds, cpu_seconds, wrong = (read_in_order if request["in_order"] else read_at_random)(request)
    answer = {"seconds": seconds, "cpu_seconds": cpu_seconds, "frames": len(request["indices"]), "wrong": int(wrong)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
