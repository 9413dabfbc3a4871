#!/usr/bin/env python3
"""cmake --install puts what the package has under a prefix: units that start that binary with that configuration, which stays when
somebody has changed it.

Usage: check_install.py BUILD CMAKE. Prints what is wrong and ends with 1 if anything is.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

FILES = {  # path below the prefix: its mode
    "bin/roost": 0o755,
    "lib/systemd/system/roost.target": 0o644, "lib/systemd/system/roost-listen.service": 0o644,
    "lib/systemd/system/roost-etl.service": 0o644, "lib/systemd/system/roost-listen@.service": 0o644,
    "lib/systemd/system/roost-etl@.service": 0o644, "lib/sysusers.d/roost.conf": 0o644,
    "etc/roost": 0o750, "etc/roost/roost.conf": 0o640, "etc/roost/keywords.txt": 0o640,
    "share/roost/roost.conf": 0o644, "share/man/man1/roost.1.gz": 0o644,
    "share/doc/roost/install.md": 0o644, "share/doc/roost/copyright": 0o644, "share/doc/roost/changelog.gz": 0o644,
    "share/doc/roost/examples/roost.conf": 0o644, "share/doc/roost/examples/keywords.txt": 0o644,
    "share/doc/roost/examples/roost-failed@.service": 0o644,
}


def main():
    build, cmake = sys.argv[1:3]
    faults = []
    with tempfile.TemporaryDirectory() as name:
        prefix = pathlib.Path(name) / "p"

        def install():
            subprocess.run([cmake, "--install", build, "--prefix", prefix], check=True, capture_output=True)

        install()
        for path, mode in FILES.items():
            if not (prefix / path).exists():
                faults.append(f"{path} is not there")
            elif (prefix / path).stat().st_mode & 0o7777 != mode:
                faults.append(f"{path} has mode {(prefix / path).stat().st_mode & 0o7777:o}, expected {mode:o}")
        for unit in (prefix / "lib/systemd/system").iterdir():
            text = unit.read_text()
            for path in re.findall(r"(?<![\w/])/(?:usr|etc)/\S*roost\S*", text):
                faults.append(f"{unit.name} names {path}, which is not below the prefix")
            for kind in ("listen", "etl"):
                if unit.name == f"roost-{kind}.service":
                    wanted = f"ExecStart={prefix}/bin/roost {kind} -c {prefix}/etc/roost/roost.conf\n"
                    if wanted not in text:
                        faults.append(f"{unit.name} does not have {wanted}")
        if (prefix / "etc/roost/roost.conf").read_text() != (prefix / "share/roost/roost.conf").read_text():
            faults.append("etc/roost/roost.conf is not the copy by which the units know that nothing is configured yet")
        (prefix / "etc/roost/roost.conf").write_text("mine\n")
        install()
        if (prefix / "etc/roost/roost.conf").read_text() != "mine\n":
            faults.append("a second installation has overwritten the configuration")
    print("\n".join(faults) if faults else "installed as it should be")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
