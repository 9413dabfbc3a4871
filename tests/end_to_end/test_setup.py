#!/usr/bin/env python3
"""`roost setup`: from nothing to rows that an ordinary login reads, by options or by questions; twice does no harm; secrets are seen nowhere."""
import os
import pathlib
import pty
import pwd
import re
import signal
import stat
import subprocess
import sys
import termios
import time

import live_v2
import support
from support import Postgres, Process, Simulator, folder, roost, wait_until

USER = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
TOKEN = live_v2.TOKEN
_postgres = None
_count = 0


def postgres():
    global _postgres
    if _postgres is None:
        _postgres = Postgres()
        if os.geteuid() == 0:
            pathlib.Path(_postgres.folder).chmod(0o755)  # the services' user must reach its socket
    return _postgres


class Setup:
    """A folder for the configuration, a database of its own, and the options that lead there instead of to the machine's."""

    def __init__(self):
        global _count
        _count += 1
        self.etc = folder() / f"etc{_count}"
        self.etc.mkdir(mode=0o755)
        self.database = f"setup{_count}"
        self.conf = self.etc / "roost.conf"
        self.options = ("--etc-dir", self.etc, "--admin", postgres().conninfo, "--user", USER, "--database", self.database)
        self.token = folder() / f"token{_count}"
        self.token.write_text(TOKEN + "\n")
        self.token.chmod(0o600)

    def answers(self, *more):
        return ("--network", "x-v2", "--bearer-token-file", self.token, "--keywords", 'coffee, "good, coffee", #tea', *more)

    def run(self, *arguments, expected=0):
        output = roost("setup", *self.options, *arguments, expected=expected)
        assert TOKEN not in output, output
        return output

    def ask(self, statement, database=None):
        return postgres().psql(statement, database or self.database)

    def files(self):
        return {p.name: p.read_bytes() for p in self.etc.iterdir()}


def test_options_alone_lead_to_rows_that_a_login_reads():
    s = Setup()
    simulator = Simulator("--api", "2", "--rate", "50", "--loop")
    output = s.run(*s.answers("--url", simulator.base, "--languages", "en, es", "--reader", "alice"))
    assert "it would start" not in output and "would start the services: systemctl enable --now roost.target" in output, output
    for name in ("roost.conf", "keywords.txt", "bearer_token"):
        status = (s.etc / name).stat()
        assert stat.S_IMODE(status.st_mode) == 0o640 and status.st_gid == pwd.getpwnam(USER).pw_gid, name
    assert sorted(s.files()) == ["bearer_token", "keywords.txt", "roost.conf"], "nothing else is left behind"
    keys = [line for line in s.conf.read_text().splitlines() if " = " in line]
    assert 5 <= len(keys) <= 10 and TOKEN not in s.conf.read_text(), keys
    assert (s.etc / "keywords.txt").read_text() == 'coffee\n"good, coffee"\n#tea\n'
    assert "is right" in roost("check", "-c", s.conf)
    assert s.ask(f"select pg_get_userbyid(datdba) from pg_database where datname = '{s.database}'") == USER
    assert s.ask("select tableowner from pg_tables where tablename = 'posts'") == USER

    home = folder() / "setup-home"
    home.mkdir()
    with open(s.conf, "a", encoding="utf-8") as file:
        file.write(f"\n[bridge]\nlisten = {home / 'b.sock'}\nspool_dir = {home / 'spool'}\n[etl]\nbatch_interval = 200ms\n")
    as_user = {"PGUSER": USER}
    running = [simulator, Process("listen", "listen", "-c", s.conf), Process("etl", "etl", "-c", s.conf, environment=as_user)]
    reader = f"host={postgres().folder} port=5432 user=alice dbname={s.database}"

    def psql(statement):
        return subprocess.run(["psql", "-X", "-q", "-At", reader, "-c", statement], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=support.PATIENCE).stdout.strip()

    wait_until("rows for the login", lambda: psql("select count(*) from tweets") not in ("", "0"), alive=running)
    s.ask(f"set role \"{USER}\"; select roost.make_partition('2015-01-01')")
    assert psql("select count(*) from posts_2015_01") == "0", "a month that is made later can be read too"
    assert "permission denied" in psql("delete from posts") and "permission denied" in psql("create table roost.mine (a int)")
    for process in reversed(running):
        process.stop()


def test_a_second_run_changes_nothing_and_an_edited_file_stays():
    s = Setup()
    s.run(*s.answers("--reader", "bob"))
    before = s.files(), s.conf.stat().st_mtime_ns
    output = s.run("--reader", "bob")
    assert "stays as it is" in output and (s.files(), s.conf.stat().st_mtime_ns) == before
    s.conf.write_text(s.conf.read_text() + "# mine\n")
    (s.etc / "keywords.txt").write_text("mine\n")
    kept = s.files()
    s.run(*s.answers("--keywords", "other"))
    assert s.files() == kept, "without --replace nothing is written"
    output = s.run("--replace", *s.answers("--keywords", "other"))
    assert (s.etc / "keywords.txt").read_text() == "other\n" and "# mine" not in s.conf.read_text()
    old = [name for name in s.files() if re.fullmatch(r"(roost\.conf|keywords\.txt)\.\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", name)]
    assert len(old) == 2 and {kept["roost.conf"], b"mine\n"} == {s.files()[name] for name in old}, old
    assert all(f"kept as {s.etc / name}" in output for name in old)


def test_a_file_that_says_nothing_is_replaced_and_one_with_mistakes_is_not():
    s = Setup()
    s.conf.write_text("# a sample\n\n; [source x]\n")
    s.run(*s.answers())
    assert "x-v2" in s.conf.read_text()
    broken = "[source x]\ntype = what\n"
    s.conf.write_text(broken)
    assert "has mistakes" in s.run(*s.answers(), expected=2) and s.conf.read_text() == broken


def test_what_is_missing_or_wrong_is_named_and_nothing_is_changed():
    s = Setup()
    right = ("--network", "x-v2", "--bearer-token-file", s.token, "--keywords", "tea")
    empty = folder() / "empty"
    empty.write_text("")
    for arguments, said in (((), "--network"), (right[:2], "--bearer-token-file"), (right[:4], "--keywords"),
                            (("--network", "x-v1", *right[2:]), "--url"), (("--network", "x-v9"), "x-v2 (X's API"),
                            ((*right, "--url", "ftp://a/b"), "http"), ((*right, "--url", 'http://h/\n[etl]'), "line break"),
                            ((*right, "--languages", "english"), "ISO 639"), ((*right, "--keywords", '"open'), "--keywords"),
                            ((*right, "--keywords-file", "/nowhere"), "one is enough"), ((*right, "--database", "a\nb"), "line break"),
                            ((*right, "--reader", "r" * 64), "63 bytes"), ((*right[:2], "--bearer-token-file", empty, *right[4:]), "bearer_token"),
                            ((*right, "--admin", "geheim"), "--admin"), ((*right, "--user", "nobody_knows_me"), "nobody_knows_me"),
                            ((*right[:2], "--api-key-file", s.token, *right[4:]), "api_secret"), (("theSecret",), "unexpected argument"),
                            ((*right, "--wait", "x"), "--wait"), ((*right, "--what"), "unknown option")):
        output = s.run(*arguments, expected=2)
        assert said in output, f"{arguments}: {output}"
        assert "geheim" not in output.replace("--admin", "") and s.files() == {}, arguments
    assert postgres().psql(f"select count(*) from pg_database where datname = '{s.database}'") == "0"


def test_a_dry_run_shows_everything_and_changes_nothing():
    s = Setup()
    output = s.run(*s.answers("--reader", "carol", "--dry-run"))
    assert "keywords_file = keywords.txt" in output and "nothing was changed" in output and "let carol read" in output
    assert s.files() == {} and postgres().psql(f"select count(*) from pg_database where datname = '{s.database}'") == "0"
    assert not list(pathlib.Path("/tmp").glob("roost-setup-*")), "secrets lie nowhere"


def test_names_are_names_whatever_is_in_them():
    s = Setup()
    s.database = "a'; drop table x; -- %I \\"
    s.options = (*s.options[:-1], s.database)
    s.run(*s.answers("--reader", "eve'; drop role x; --"))
    assert postgres().psql("select count(*) from pg_roles where rolname = $$eve'; drop role x; --$$") == "1"
    assert postgres().psql("select count(*) from pg_database where datname = $$a'; drop table x; -- %I \\$$") == "1"
    roost("migrate", "-c", s.conf, environment={"PGUSER": USER})


def test_a_server_that_is_away_ends_with_1_and_the_next_run_goes_on():
    s = Setup()
    output = s.run(*s.answers("--admin", "host=/nowhere", "--wait", "0"), expected=1)
    assert "PostgreSQL's part was not done" in output and s.conf.exists(), output
    (s.etc / ".setup").mkdir()
    (s.etc / ".setup/bearer_token").write_text("of a run that was killed")
    s.run("--replace", *s.answers())
    assert not (s.etc / ".setup").exists(), "its rest is removed"
    assert s.ask("select count(*) > 0 from roost.schema_version") == "t"


class Terminal:
    """roost setup on a terminal of its own."""

    def __init__(self, *arguments):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.pop("SUDO_USER", None)
            os.execv(support.ROOST, [support.ROOST, "setup", *map(str, arguments)])
        self.shown = b""
        self.seen = 0

    def echoes(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def until(self, text):
        """Reads until this is on the screen, behind what was waited for before."""
        end = time.monotonic() + support.PATIENCE
        while text.encode() not in self.shown[self.seen:]:
            assert time.monotonic() < end, self.shown
            try:
                self.shown += os.read(self.fd, 4096)
            except OSError:
                raise AssertionError(f"it ended before {text}: {self.shown.decode(errors='replace')}") from None
        self.seen = self.shown.index(text.encode(), self.seen) + len(text)

    def answer(self, question, text, hidden=False):
        self.until(question)
        if hidden:
            wait_until("the terminal to be silent", lambda: not self.echoes())
        os.write(self.fd, text.encode() + b"\n")

    def end(self):
        while True:
            try:
                more = os.read(self.fd, 4096)
            except OSError:
                break
            if not more:
                break
            self.shown += more
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_questions_on_a_terminal_lead_to_the_same_and_no_secret_is_echoed():
    s = Setup()
    t = Terminal(*s.options)
    t.answer("Which API", "x-v3")
    t.answer("is right", "x-v2")
    t.answer("bearer token", "", hidden=True)
    t.answer("API key", "theKeyOfTheApp", hidden=True)
    t.answer("API secret", "theSecretOfTheApp", hidden=True)
    t.answer("Keywords", "")
    t.answer("needed", '"open')
    t.answer("Keywords", "tea, -spam")
    t.answer("Languages", "xx-nothing-at-all")
    t.answer("Languages", "en")
    t.answer("Which login", "dora")
    t.answer("Write this", "what")
    t.answer("Write this", "")
    assert t.end() == 0, t.shown
    assert b"theKeyOfTheApp" not in t.shown and b"theSecretOfTheApp" not in t.shown
    assert (s.etc / "api_secret").read_text().strip() == "theSecretOfTheApp" and "bearer_token" not in s.files()
    assert (s.etc / "keywords.txt").read_text() == "tea\n-spam\n"
    assert s.ask("select count(*) from pg_auth_members where member = 'dora'::regrole") == "1"


def test_no_at_the_end_and_control_c_in_a_secret_change_nothing():
    s = Setup()
    t = Terminal(*s.options, "--network", "x-v1", "--keywords", "tea", "--languages", "en", "--reader", "")
    t.answer("address", "here")
    t.answer("address", "http://127.0.0.1:9/1.1/statuses/filter.json")
    for secret in ("API key", "API secret", "Access token", "Access secret"):
        t.answer(secret, "x" * 20, hidden=True)
    t.answer("Write this", "no")
    assert t.end() == 2 and b"nothing was changed" in t.shown and s.files() == {}
    t = Terminal(*s.options, "--network", "x-v2", "--keywords", "tea")
    t.until("bearer token")
    wait_until("the terminal to be silent", lambda: not t.echoes())
    os.write(t.fd, b"half\x03")
    pid, fd = t.pid, os.dup(t.fd)
    assert t.end() == -signal.SIGINT and pid
    assert termios.tcgetattr(fd)[3] & termios.ECHO, "the terminal echoes again"
    os.close(fd)
    assert s.files() == {}


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
