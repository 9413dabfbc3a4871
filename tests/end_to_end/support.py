"""What the end-to-end tests share: a private PostgreSQL, the roost programs as real processes, waiting for conditions.

Nothing here sleeps for a fixed time in place of a condition, no port is fixed, and every process is ended at exit.
"""
import atexit
import contextlib
import ctypes
import json
import mmap
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(os.environ.get("SOURCE", pathlib.Path(__file__).resolve().parents[2]))
ROOST = os.environ.get("ROOST", str(SOURCE / "build/asan/roost"))
SHARED = pathlib.Path(os.environ.get("SHARED", SOURCE / "../shared"))
PATIENCE = float(os.environ.get("ROOST_PATIENCE", 90))  # seconds that any single condition may take; sanitizer builds on a loaded machine are slow
# The account that `roost simulate` serves when none is given (docs/simulator.md).
API_KEY, API_SECRET = "roostDemoApiKey", "roostDemoApiSecretThatIsNoSecret"
ACCESS_TOKEN, ACCESS_SECRET = "1000001-roostDemoAccessToken", "roostDemoAccessSecretThatIsNoSecret"

# Or all tests at once would share a place for their status sockets; so they are beside each test's own spool.
os.environ.pop("XDG_RUNTIME_DIR", None)

_folder = None
_processes = []


def folder():
    """This test's own folder, short enough for Unix sockets, readable for the database's user."""
    global _folder
    if _folder is None:
        _folder = pathlib.Path(tempfile.mkdtemp(prefix="roost-e2e-", dir="/tmp"))
        _folder.chmod(0o755)
    return _folder


def skip(why):
    print(f"skipped: {why}")
    sys.exit(0)


def recorded(name):
    path = SHARED / "data" / name
    if not path.exists():
        skip(f"the recorded data {name} is not in {SHARED}")
    return path


def wait_until(what, condition, patience=PATIENCE, alive=()):
    """Polls a condition; fails loudly after `patience` seconds or when one of `alive` has ended."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        for process in alive:
            assert process.poll() is None, f"{process.name} ended with {process.returncode} while waiting for {what}:\n{process.log()[-3000:]}"
        assert time.monotonic() < end, f"waited {patience} s for {what}\n" + "\n".join(
            f"--- {p.name}\n{p.log()[-2000:]}" for p in alive)
        time.sleep(0.02)


class Process:
    """A running roost subcommand with its output in a file."""

    def __init__(self, name, *arguments, environment=None):
        self.name = name
        self.path = folder() / f"{name}-{len(_processes)}.log"
        with open(self.path, "wb") as file:
            self.child = subprocess.Popen([ROOST, *map(str, arguments)], stdout=file, stderr=subprocess.STDOUT,
                                          stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})})
        _processes.append(self)

    @property
    def returncode(self):
        return self.child.returncode

    @property
    def pid(self):
        return self.child.pid

    def poll(self):
        return self.child.poll()

    def log(self):
        return self.path.read_text(errors="replace")

    def kill(self):
        self.child.kill()
        self.child.wait()

    def stop(self, expected=0, patience=PATIENCE):
        """SIGTERM, then the exit status must be `expected` within the patience; sanitizer reports fail the test."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not stop within {patience} s:\n{self.log()[-3000:]}") from None
        log = self.log()
        assert "Sanitizer" not in log and "runtime error" not in log, f"{self.name}:\n{log[-6000:]}"
        assert self.child.returncode == expected, f"{self.name} ended with {self.child.returncode}:\n{log[-3000:]}"

    def end(self, expected):
        """It ends by itself with this status."""
        self.child.wait(PATIENCE)
        assert self.child.returncode == expected, f"{self.name} ended with {self.child.returncode}:\n{self.log()[-3000:]}"


class TestClock:
    """A clock for all programs started while it is open (base/clock.h, "the test hook"): the wall time jumps when told, speed is fixed."""

    def __init__(self, speed=1):
        self.speed = speed
        self.base_us = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
        self.wall_us = time.time_ns() // 1000
        self.path = folder() / f"clock-{self.base_us}"
        self.path.write_bytes(struct.pack("=8sqqqq", b"roostclk", self.base_us, self.wall_us, speed, 0))
        with open(self.path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 40)
        self.offset_ms = ctypes.c_int64.from_buffer(self.memory, 32)
        os.environ["ROOST_TEST_CLOCK"] = str(self.path)

    def jump(self, milliseconds):
        self.offset_ms.value += milliseconds

    def steady(self):
        """Seconds of this clock; only differences mean anything."""
        return (time.clock_gettime_ns(time.CLOCK_BOOTTIME) / 1e3 - self.base_us) * self.speed / 1e6

    def now(self):
        """The wall time that the programs see, as time.time()."""
        return self.wall_us / 1e6 + self.steady() + self.offset_ms.value / 1e3

    def close(self):
        os.environ.pop("ROOST_TEST_CLOCK", None)


class SmallDisk:
    """A tmpfs of its own for a test, which can be filled to the last byte and given room again; gone at exit."""

    def __init__(self, name, size):
        self.path = folder() / name
        self.path.mkdir()
        self.filler = self.path / "filler"
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "roost-test", str(self.path)],
                                               stderr=subprocess.DEVNULL).returncode:
            skip("a small file system of its own needs root and mount")
        atexit.register(self.remove)

    def fill(self):
        """Until not one byte more is taken."""
        with open(self.filler, "ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))

    def room(self):
        self.filler.unlink()

    def remove(self):
        """Its users first: this runs before they are ended at exit."""
        for process in _processes:
            with contextlib.suppress(Exception):
                process.child.kill()
                process.child.wait(10)
        subprocess.run(["umount", "-l", str(self.path)], check=False)


def roost(*arguments, expected=0, text=True, environment=None):
    """Runs a subcommand to its end; returns its output (stdout and stderr together)."""
    done = subprocess.run([ROOST, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=text,
                          stdin=subprocess.DEVNULL, timeout=PATIENCE, env={**os.environ, **(environment or {})})
    assert done.returncode == expected, f"roost {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


class Postgres:
    """A private cluster: initdb into a folder (a new one, or the one given), Unix socket only."""

    def __init__(self, given=None):
        self.script = SOURCE / "tests/support/postgres.sh"
        if not list(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")):
            skip("no PostgreSQL server programs")
        self.folder = given or pathlib.Path(tempfile.mkdtemp(prefix="roost-pg-", dir="/tmp"))
        self.conninfo = self.run("start").strip().splitlines()[-1]
        atexit.register(self.remove)
        self.databases = 0

    def run(self, verb):
        owner = [str(os.getpid())] if verb == "start" else []
        return subprocess.run(["bash", str(self.script), verb, str(self.folder), *owner], check=True, stdout=subprocess.PIPE,
                              text=True, timeout=PATIENCE).stdout

    def psql(self, statement, database="postgres", check=True):
        done = subprocess.run(["psql", "-X", "-q", "-At", "-F", "\t", "-v", "ON_ERROR_STOP=1",
                               f"{self.conninfo} dbname={database}", "-c", statement],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
        if check:
            assert done.returncode == 0, f"{statement}\n{done.stderr}"
        return done.stdout.rstrip("\n") if done.returncode == 0 else None

    def rows(self, statement, database):
        """The rows of a query as JSON values, so that any text comes back exactly."""
        lines = self.psql(f"select row_to_json(r) from ({statement}) r", database)
        return [json.loads(line) for line in lines.split("\n") if line]

    def create(self, more=""):
        self.databases += 1
        name = f"roost{self.databases}"
        self.psql(f"create database {name} {more}")
        return name

    def remove(self):
        with contextlib.suppress(Exception):
            self.run("stop")
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Simulator(Process):
    def __init__(self, *arguments):
        # Its leaks are the unit tests' business; LeakSanitizer at the end of so many simulators only takes time.
        super().__init__("simulator", "simulate", "--listen", "127.0.0.1:0", *arguments,
                         environment={"ASAN_OPTIONS": "detect_leaks=0"})
        wait_until("the simulator to listen", lambda: "listening on http" in self.log(), alive=[self])
        self.base = next(w for w in self.log().split() if w.startswith(("http://", "https://")))
        self.url = self.base + "/1.1/statuses/filter.json"


def write_configuration(name, url, database=None, postgres=None, keywords="the", source="", filters="", bridge="", etl="", sink=None,
                        socket_path=None):
    """A whole configuration; the bridge is a Unix socket unless `bridge` names a listen address."""
    home = folder() / name
    home.mkdir(exist_ok=True)
    listen = "" if "listen =" in bridge else f"listen = {socket_path or home / 'bridge.sock'}"
    address = socket_path or home / "bridge.sock"
    for line in bridge.splitlines():
        if line.startswith("listen ="):
            address = line.split("=", 1)[1].strip()
    if sink is None:
        sink = f"[sink main]\ntype = postgres\nconninfo = {postgres.conninfo} dbname={database}\n" if database else "[sink main]\ntype = console\n"
    text = f"""[source test]
type = x-v1
url = {url}
api_key = {API_KEY}
api_secret = {API_SECRET}
access_token = {ACCESS_TOKEN}
access_secret = {ACCESS_SECRET}
{source}

[filter]
{f'keywords = {keywords}' if keywords else ''}
{filters}

[bridge]
{listen}
spool_dir = {home / 'spool'}
{bridge}

[etl]
bridge = {address}
batch_interval = 200ms
{etl}

{sink}
"""
    path = home / "roost.conf"
    path.write_text(text)
    path.chmod(0o600)
    return path


def cleanup():
    # At exit the exception that ended the program is no longer the current one, but it is remembered.
    failed = getattr(sys, "last_type", None) is not None
    for process in _processes:
        with contextlib.suppress(Exception):
            process.child.kill()
            process.child.wait(10)
    if _folder and failed:
        print(f"the logs are kept in {_folder}", file=sys.stderr)
    elif _folder:
        shutil.rmtree(_folder, ignore_errors=True)


atexit.register(cleanup)


def run_tests(module):
    """Runs every function test_* of a module in order; prints its name; the first failure ends with its traceback."""
    for name, function in list(vars(module).items()):
        if name.startswith("test_") and callable(function):
            began = time.monotonic()
            function()
            print(f"ok: {name[5:].replace('_', ' ')} ({time.monotonic() - began:.1f} s)", flush=True)
