#!/usr/bin/env python3
"""Runs one fuzz target on its seeds and for some seconds on what libFuzzer makes of them.

    tests/fuzz/run.py --program build/fuzz/bin/fuzz_files --folder WORK [--seconds S] TARGET
    tests/fuzz/run.py --program ... --folder WORK TARGET --input FILE      runs one input
    tests/fuzz/run.py --unpack FILE FOLDER                                 makes a folder of seeds of an input

The environment variable REELSTORE_FUZZ_SECONDS goes before --seconds. Seeds are folders, seeds/TARGET/CASE: the files of a small
recording, the one to open being main.EXT, main_*.EXT or a folder main (of several, each is opened), and perhaps OPTIONS with one
option of opening a line ("gray", "deep", "copied", "name=value"). What was found is kept in WORK/TARGET/found for the next run. An
input that fails stays in WORK/TARGET as crash-*, timeout-* or oom-*: unpack it into the seeds together with the correction.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys

SEEDS = pathlib.Path(__file__).resolve().parent / "seeds"
PART_MARK = b"\n=== part of a recording: "  # as in fuzz_target.h
OPTIONS_PART = "options"
OPTIONS_FILE = "OPTIONS"

# Targets that read the same files as others, besides their own seeds.
SEEDS_OF_OTHERS = {"image_header": ["image", "tiff"]}

LONGEST_INPUT = 1 << 16
SECONDS_A_RUN = 10
# One image may be as large as base/pixel_type.h allows (2 GiB); what holds several such is a bug.
MEGABYTES_AT_ONCE = 2200
MEGABYTES = 6000


def pack(files, options):
    """The input of these (name, bytes), the first of which is opened."""
    parts = list(files)
    if options:
        parts.append((OPTIONS_PART, "".join(line + "\n" for line in options).encode()))
    return b"".join(PART_MARK + name.encode() + b"\n" + content for name, content in parts)


def unpack(data):
    """The (name, bytes) and the options of an input; the driver reads it the same way."""
    first, *parts = data.split(PART_MARK)
    files, options = ([("main", first)] if first or not parts else []), []
    for part in parts:
        name, _, content = part.partition(b"\n")
        if name.decode(errors="replace") == OPTIONS_PART:
            options = [line for line in content.decode(errors="replace").split("\n") if line]
        else:
            files.append((name.decode(errors="replace"), content))
    return files, options


def packed_case(folder):
    """The inputs that a folder of seeds stands for, by name."""
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    options = files.pop(OPTIONS_FILE, b"").decode().split("\n")
    options = [line for line in options if line]
    mains = [name for name in files if name.startswith("main")]
    if not mains:
        sys.exit(f"{folder}: a case needs a file or folder main*")
    # Of a folder any file stands for it.
    mains = list({name.split("/")[0]: name for name in reversed(mains)}.values())
    inputs = {}
    for main in mains:
        ordered = [(main, files[main])] + [(name, content) for name, content in files.items() if name != main]
        title = f"{folder.name}-{main.replace('/', '_')}"
        inputs[title] = pack(ordered, options)
        if not options:
            inputs[title + "-gray-copied"] = pack(ordered, ["gray", "copied"])
    return inputs


def write_seeds(target, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    count = 0
    for owner in [target] + SEEDS_OF_OTHERS.get(target, []):
        for case in sorted(path for path in (SEEDS / owner).glob("*") if path.is_dir()):
            count += 1
            for name, data in packed_case(case).items():
                (folder / f"{owner}-{name}").write_bytes(data)
    return count


def unpack_to_folder(data, folder):
    folder.mkdir(parents=True)
    files, options = unpack(data)
    for name, content in files:
        path = folder / name
        if not re.fullmatch(r"[\w.+-]+(/[\w.+-]+)*", name) or ".." in name:
            sys.exit(f"{name!r} is no name for a file in the sources: change the input, or add the case by hand")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if options:
        (folder / OPTIONS_FILE).write_text("".join(line + "\n" for line in options))
    print(f"{folder}: opened is {files[0][0]}")


def fuzz(arguments):
    work = arguments.folder / arguments.target
    seeds, found = work / "seeds", work / "found"
    found.mkdir(parents=True, exist_ok=True)
    cases = write_seeds(arguments.target, seeds)
    environment = dict(os.environ, REELSTORE_FUZZ_TARGET=arguments.target)
    environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    leaks = SEEDS.parent / "leak_suppressions.txt"
    environment.setdefault("LSAN_OPTIONS", f"suppressions={leaks}:print_suppressions=0")
    command = [str(arguments.program), f"-timeout={SECONDS_A_RUN}", f"-rss_limit_mb={MEGABYTES}",
               f"-malloc_limit_mb={MEGABYTES_AT_ONCE}", f"-artifact_prefix={work}/"]
    if arguments.input:
        return subprocess.run(command + [str(arguments.input)], env=environment).returncode
    if cases == 0:
        # Formats that are only written say so.
        code = subprocess.run(command + ["-runs=0"], env=environment).returncode
        if code == 0:
            print(f"{arguments.target} has no seeds: put small recordings at {SEEDS / arguments.target}/CASE/main.EXT")
        return code or 1
    seconds = float(os.environ.get("REELSTORE_FUZZ_SECONDS", arguments.seconds))
    print(f"{arguments.target}: {cases} cases, {seconds:g} s", flush=True)
    # A fixed seed of chance: what a change of the sources does not touch behaves alike from run to run.
    if seconds <= 60:
        command.append("-seed=1")
    command += [f"-max_len={LONGEST_INPUT}", f"-max_total_time={max(1, round(seconds))}", "-print_final_stats=1", "-verbosity=1"]
    return subprocess.run(command + [str(found), str(seeds)], env=environment).returncode


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--unpack", nargs=2, metavar=("FILE", "FOLDER"), type=pathlib.Path)
    parser.add_argument("--program", type=pathlib.Path)
    parser.add_argument("--folder", type=pathlib.Path, help="for what is found")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--input", type=pathlib.Path)
    parser.add_argument("target", nargs="?")
    arguments = parser.parse_args()
    if arguments.unpack:
        unpack_to_folder(arguments.unpack[0].read_bytes(), arguments.unpack[1])
        return 0
    if not (arguments.program and arguments.folder and arguments.target):
        parser.error("--program, --folder and a target are needed")
    return fuzz(arguments)


if __name__ == "__main__":
    sys.exit(main())
