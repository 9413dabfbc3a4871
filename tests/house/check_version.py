#!/usr/bin/env python3
"""roost --version names the right commit: cmake/version.cmake in a git folder, in one with changes, in an archive of it, in a bare copy.

Usage: check_version.py SOURCE CMAKE. Prints what is wrong and ends with 1 if anything is.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile


def main():
    source, cmake = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    if not shutil.which("git"):
        print("skipped: no git on this machine")
        return 0
    faults = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)

        def git(*arguments):
            identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
            return subprocess.run(["git", *identity, "-C", tree, *arguments], check=True, capture_output=True).stdout

        def made(where, *options):
            output = folder / "version.c"
            subprocess.run([cmake, f"-DSOURCE={where}", "-DVERSION=1.2.3", f"-DOUTPUT={output}", *options, "-P",
                            source / "cmake/version.cmake"], check=True, capture_output=True)
            text = output.read_text()
            assert 'version_number[] = "1.2.3";' in text, text
            return re.search(r'version_commit\[\] = "([^"]*)";', text).group(1)

        tree = folder / "tree"
        (tree / "cmake").mkdir(parents=True)
        shutil.copy(source / "cmake/commit", tree / "cmake/commit")
        shutil.copy(source / ".gitattributes", tree / ".gitattributes")
        git("init", "-q")
        git("add", "-A")
        git("commit", "-qm", "all of it")
        commit = git("rev-parse", "HEAD").decode().strip()
        archive, copy = folder / "archive", folder / "copy"
        archive.mkdir()
        subprocess.run(["tar", "-x", "-C", archive], input=git("archive", "HEAD"), check=True)
        shutil.copytree(tree, copy, ignore=lambda *_: {".git"})

        def same(what, got, wanted):
            if got != wanted:
                faults.append(f"{what}: {got}, expected {wanted}")

        same("a git folder", made(tree), commit[:12])
        same("the commit that was given", made(tree, "-DCOMMIT=abc"), "abc")
        in_archive = made(archive)
        if len(in_archive) < 7 or not commit.startswith(in_archive):
            faults.append(f"an archive: {in_archive}, expected the beginning of {commit}")
        same("a bare copy", made(copy), "unknown")
        before = (folder / "version.c").stat().st_mtime_ns
        same("a bare copy again", made(copy), "unknown")
        same("the file's time when nothing has changed", (folder / "version.c").stat().st_mtime_ns, before)
        (tree / "cmake/commit").write_text("changed\n")
        same("a git folder with changes", made(tree), commit[:12] + "+changes")
    print("\n".join(faults) if faults else "the version is right")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
