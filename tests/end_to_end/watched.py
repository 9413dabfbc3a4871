"""What the tests of status and watchdog share: the service manager's end of NOTIFY_SOCKET, both services beside it, `roost status` asked."""
import json
import os
import socket
import subprocess
import time

import support
from support import PATIENCE, ROOST, Postgres, Process, Simulator, folder, wait_until, write_configuration

WATCHDOG_US = 1200000  # so a thread hangs after 0.6 s, one call of the system after 4.8 s


class Manager:
    """systemd's end of NOTIFY_SOCKET, for one service."""

    def __init__(self, name, watchdog_us=WATCHDOG_US):
        self.path = folder() / f"{name}.notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.setblocking(False)
        self.heard = []  # (time, message)
        self.environment = {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": str(watchdog_us)}

    def messages(self):
        while True:
            try:
                self.heard.append((time.monotonic(), self.socket.recv(4096).decode()))
            except BlockingIOError:
                return [m for _, m in self.heard]

    def last_status(self):
        return next((m[7:] for m in reversed(self.messages()) if m.startswith("STATUS=")), "")

    def feeds_after(self, moment):
        self.messages()
        return [t for t, m in self.heard if m == "WATCHDOG=1" and t > moment]


_postgres = None
_database = None


def database():
    """The server, and the database of the latest `prepare`."""
    return _postgres, _database


def prepare(name, hang_listen=None, hang_etl=None, started=("listen", "etl"), watchdog_us=WATCHDOG_US):
    global _postgres, _database
    _postgres = _postgres or Postgres()
    _database = _postgres.create()
    simulator = Simulator("--rate", "50", "--no-filter")
    conf = write_configuration(name, simulator.url, _database, _postgres)
    runtime = folder() / f"{name}-run"
    runtime.mkdir()
    conf.write_text(conf.read_text() + f"[service]\nruntime_dir = {runtime}\n")
    support.roost("migrate", "-c", conf)
    services = {}
    for service, hang in (("listen", hang_listen), ("etl", hang_etl)):
        if service in started:
            manager = Manager(f"{name}-{service}", watchdog_us)
            environment = {**manager.environment, **({"ROOST_TEST_HANG": f"{hang}={folder() / name}.hang"} if hang else {})}
            process = Process(f"{name}-{service}", service, "-c", conf, environment=environment)
            process.manager = manager
            services[service] = process
    return conf, simulator, services


def status(conf, *options, environment=None):
    began = time.monotonic()
    done = subprocess.run([ROOST, "status", "-c", str(conf), *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=PATIENCE, env={**os.environ, **(environment or {})})
    assert "Sanitizer" not in done.stdout, done.stdout
    return done.returncode, done.stdout, time.monotonic() - began


def picture(conf):
    code, text, _ = status(conf, "--json")
    value = json.loads(text)
    assert {"ok": 0, "warning": 1, "critical": 2}[value["status"]] == code, text
    return value


def wait_ready(*processes):
    for process in processes:
        wait_until(f"READY=1 of {process.name}", lambda p=process: "READY=1" in p.manager.messages(), alive=[process])
