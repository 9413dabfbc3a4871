#!/usr/bin/env python3
"""The house keeps its order: who includes whom, no circles, a DESIGN.md in each room, no banned calls, no giant files.

Usage: check_house.py SOURCE. Prints each fault with its place and ends with 1 if there is any.
"""
import pathlib
import re
import sys

ROOMS = {  # room: the rooms it may include; the same table as in CMakeLists.txt, which is compared too
    "base": set(),
    "text": {"base"},
    "config": {"base"},
    "bridge": {"base", "config"},
    "ingest": {"base", "text", "config", "bridge"},
    "etl": {"base", "text", "config", "bridge"},
    "sinks": {"base", "config", "bridge", "etl"},
    "simulator": {"base", "text", "config"},
    "cli": {"base", "text", "config", "bridge", "ingest", "etl", "sinks", "simulator"},
}
ONLY = {("sinks", "etl"): {"etl/sink.h"}}  # of this room, these headers alone
FOLDERS_WITH_DESIGN = list(ROOMS) + ["deploy", "tests", "bench"]
BANNED = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|atoi|atol|strtok|gets)\s*\(")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
LONGEST_FILE = 800


def sources(root, room):
    return sorted(p for p in (root / room).rglob("*") if p.suffix in (".c", ".h"))


def includes(path):
    return INCLUDE.findall(path.read_text(encoding="utf-8"))


def everything_included(root, header, seen):
    for name in includes(root / header):
        if name not in seen and (root / name).exists():
            seen.add(name)
            everything_included(root, name, seen)
    return seen


def check(root):
    faults = []
    for room, allowed in ROOMS.items():
        for path in sources(root, room):
            here = path.relative_to(root)
            reached = set()
            for name in includes(path):
                if "/" not in name or not (root / name).exists():
                    faults.append(f'{here}: includes "{name}", which is no header named from the root')
                    continue
                reached |= {name} | everything_included(root, name, set())
            for name in sorted(reached):
                other = name.split("/")[0]
                if other == room:
                    continue
                if other not in allowed:
                    faults.append(f"{here}: reaches {name}, but {room}/ may not include {other}/")
                elif name not in ONLY.get((room, other), {name}):
                    faults.append(f"{here}: reaches {name}; of {other}/ it may use {ONLY[(room, other)]} only")
    text = (root / "CMakeLists.txt").read_text()
    for room, named in re.findall(r"^roost_room\((\w+)([^)]*)\)", text, re.M):
        if set(named.split()) != ROOMS[room]:
            faults.append(f"CMakeLists.txt: {room} links {named.split()}, the table says {sorted(ROOMS[room])}")
    for folder in FOLDERS_WITH_DESIGN:
        if not (root / folder / "DESIGN.md").exists():
            faults.append(f"{folder}/ has no DESIGN.md")
    for folder in list(ROOMS) + ["tests", "bench"]:
        for path in sources(root, folder):
            here = path.relative_to(root)
            lines = path.read_text(encoding="utf-8").splitlines()
            if len(lines) > LONGEST_FILE:
                faults.append(f"{here}: {len(lines)} lines; more than {LONGEST_FILE} is two files")
            for number, line in enumerate(lines, 1):
                if BANNED.search(line):
                    faults.append(f"{here}:{number}: a banned call: {line.strip()}")
    return faults


def main():
    found = check(pathlib.Path(sys.argv[1]).resolve())
    print("\n".join(found) if found else "the house is in order")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
