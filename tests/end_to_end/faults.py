"""Random fault scripts against a listener: what the simulator's log says was done is what the spool and the gap ledger say, and no attempt
comes sooner than the documents allow (tests/faults, test_faults.py).

The waits are worked out here from the documents of the API (streaming-apis.md 4.2 and 5.7) and from nothing else. Known from the
simulator's log: each request, what it was answered, each stream's first and last moment, and how many whole messages the kernel took.

What cannot be told, and is not judged: attempts while the simulator refuses connections (they leave no line); how much of a stream was
read when it ends by a TCP reset, with corrupt gzip, or because the listener was killed or stopped (what came is then a part without
holes); ladders steeper than the documents ask for.
"""
import calendar
import json
import random
import re
import shutil
import subprocess
import threading
import time

import support
from support import ACCESS_SECRET, ACCESS_TOKEN, API_KEY, API_SECRET, ROOST, Process, folder, roost, wait_until

LONGEST_WAIT = 3600  # seconds: the top of the slowest ladder
MOST_LINES = 400  # of the simulator's log in one run
RATE = 4  # tweets a second of the clock
STALL = 50  # seconds of silence that end a stream here: longer than a quiet network, shorter than the longest stalls
FIRST_ID, TWEETS = 1587383949142994946, 12000
REAL_TIMER = 0.003  # seconds by which a timer of the loop may be early: its clock has whole milliseconds
REAL_SLACK = 0.3  # between a doing and its being noticed on a loaded machine
REAL_SYNC = 0.6  # for the ledger's file to be on the disk
LINE = re.compile(r"(?:wall_ms=)(\d+)")
_lock = threading.Lock()
_number = [0]


def text_of(index):
    return f"tea number {index} — thé ☕ {'x' * (index % 90)}"


def playlist():
    """The tweets that every run plays, a file written once; their ids count up."""
    path = folder() / "playlist.ndjson"
    with _lock:
        if not path.exists():
            lines = [json.dumps({"created_at": "Tue Nov 01 10:00:00 +0000 2022", "id": FIRST_ID + i, "id_str": str(FIRST_ID + i), "text": text_of(i),
                                 "lang": "en", "user": {"id": 7, "id_str": "7", "screen_name": "ada", "name": "Ada"}}) for i in range(TWEETS)]
            path.write_text("\n".join(lines) + "\n")
    return path


class Failed(AssertionError):
    pass


# ---- the simulator's log ----

class Event:
    """One line of the log that has a time: what (request, refused, over, fault), when in seconds."""

    def __init__(self, line):
        self.line = line
        self.at = int(LINE.search(line).group(1)) / 1000
        self.connection = (re.search(r"connection=(\d+)", line) or [None, None])[1]
        self.fault = (re.search(r"fault line (\d+)", line) or [None, None])[1]
        status = re.search(r" -> (\d{3}) ", line)
        self.status = int(status[1]) if status else 0
        self.streams = "-> 200 account " in line
        self.over = "stream over: " in line
        self.handshake = "no handshake" in line
        self.head_waits = "waits for its head" in line
        self.of_script = re.search(r"simulate: fault line \d+: (?:second|message|connection)", line) is not None
        self.request = bool(status) or self.handshake or self.head_waits
        self.stream_request = self.request and ("/stream " in line or "filter.json" in line)

    @property
    def messages(self):
        return int(re.search(r"; (\d+) messages, ", self.line)[1])


class Fault:
    def __init__(self, event):
        words = event.line.split("fault line ")[1].split("; wall_ms")[0].split()
        self.at, self.kind = event.at, words[3]
        self.values = dict(word.split("=") for word in words[4:])

    def number(self, name, otherwise=0.0):
        return float(self.values.get(name, otherwise))


class Stream:
    def __init__(self, begin):
        self.begin, self.end, self.faults = begin, None, []

    @property
    def reason(self):
        return self.end.line.split("stream over: ")[1].split(";")[0]


def read_log(text):
    events = [Event(line) for line in text.split("\n") if LINE.search(line)]
    faults = {e.fault: Fault(e) for e in events if e.of_script}
    streams = []
    for e in events:
        if e.streams:
            if streams and streams[-1].end is None:
                raise Failed(f"two streams of one account at once: {e.line}")
            streams.append(Stream(e))
        elif e.over:
            if not streams or streams[-1].end or streams[-1].begin.connection != e.connection:
                raise Failed(f"the end of another stream than the last: {e.line}")
            streams[-1].end = e
        elif e.of_script and streams and streams[-1].end is None:
            streams[-1].faults.append(faults[e.fault])
        elif e.status == 429 and e.fault is None and "fault:" not in e.line:
            raise Failed(f"more attempts or connections than the account has: {e.line}")
    for s in streams:
        if s.end and "connected again" in s.reason:
            raise Failed(f"a second connection of the account: {s.end.line}")
    return events, faults, streams


# ---- the ladders, by the documents ----

class Ladders:
    """The earliest moment of the next attempt."""

    def __init__(self):
        self.network = self.http = self.rate = 0
        self.allowed, self.since = 0.0, 0.0

    def wait(self, at, seconds):
        self.allowed, self.since = at + seconds, at

    def network_failed(self, at):
        self.network += 1
        self.wait(at, min(0.25 * self.network, 16))

    def http_failed(self, at, asked):
        self.http += 1
        self.wait(at, max(min(5 * 2 ** (self.http - 1), 320), asked))

    def rate_limited(self, at, until):
        self.rate += 1
        self.wait(at, max(60 * 2 ** (self.rate - 1) if self.rate < 7 else 3600, until - at))

    def streams(self, at):
        self.network = self.http = self.rate = 0
        self.wait(at, 0)


def evicts(stream, api):
    """The stream ended because the account is used elsewhere."""
    for f in stream.faults:
        if f.kind == "disconnect" and (f.values.get("code", "10") in ("2", "6", "7") if api == 1 else f.values.get("type") == "ForceDisconnect"):
            return stream.reason == "a fault: a disconnect message"
    return stream.reason == "a fault: evicted" and api == 1


def check_ladders(run, events, faults, streams):
    ladders, limit = Ladders(), None
    ends = {id(s.end): s for s in streams if s.end}
    early = REAL_TIMER * run.speed + 0.002
    for e in events:
        f = faults.get(e.fault)
        if e.of_script and f.kind == "rate-limit":
            limit = f.at + f.number("seconds")
        elif e.over:
            stream = ends[id(e)]
            if evicts(stream, run.api):
                ladders.http_failed(e.at, 0)
            else:
                ladders.wait(e.at, 0)
        elif e.request:
            late_head = run.head_waits.pop(e.connection, None)  # the attempt was an earlier line
            if e.at < ladders.allowed - early and not run.ended_near(ladders.since) and not late_head:
                raise Failed(f"{ladders.allowed - e.at:.3f} s too early (waited {e.at - ladders.since:.3f} s): {e.line}")
            if e.head_waits:
                run.head_waits[e.connection] = True
                continue
            if e.streams:
                ladders.streams(e.at)
                continue
            before = vars(ladders).copy()
            if e.handshake:
                ladders.network_failed(e.at)
            elif e.status == 420 or e.status == 429:
                ladders.rate_limited(e.at, limit if f is None and e.status == 429 else 0)
            elif e.status == 401:  # not worth retrying as it is: not a step of this ladder
                ladders.wait(e.at, 5)
            elif e.stream_request:  # web pages, other JSON, redirects and statuses
                ladders.http_failed(e.at, f.number("retry-after") if f else 0)
            if run.ended_near(e.at):
                ladders.__dict__.update({name: before[name] for name in ("network", "http", "rate")})


# ---- the spool ----

def seconds(text):
    whole, milliseconds = text.rstrip("Z").split(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + int(milliseconds) / 1000


def read_spool(path):
    out = subprocess.run([ROOST, "spool", "--cat", str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, timeout=support.PATIENCE).stdout.decode()
    return [json.loads(line) for line in out.split("\n") if line]


def check_posts(run, streams, records):
    """What each stream brought, against how many whole messages were sent in it; returns how many were judged to the last one."""
    posts = [(seconds(r["received_at"]), int(r["id"]) - FIRST_ID, r["text"]) for r in records if r["kind"] == "post"]
    for _, index, text in posts:
        if not 0 <= index < TWEETS or text != text_of(index):
            raise Failed(f"tweet {index} has the text {text!r}")
    exact = 0
    for number, stream in enumerate(streams):
        until = streams[number + 1].begin.at if number + 1 < len(streams) else float("inf")
        got = [index for at, index, _ in posts if stream.begin.at <= at < until]
        stream.got = len(got)
        kinds = {f.kind for f in stream.faults}
        # The listener went in it, or before it had read anything of it.
        gone = any(stream.begin.at <= k < until for k in run.kills) or run.ended_near(stream.begin.at)
        if not kinds & {"quiet", "duplicate", "reorder"} and got != list(range(got[0], got[0] + len(got)) if got else []):
            raise Failed(f"holes or disorder in what {stream.begin.line} brought: {got}")
        sent = stream.end.messages
        unknown = stream.reason == "a fault: reset" or any(f.kind == "gzip" and f.values.get("how") == "corrupt" for f in stream.faults) or gone
        if len(got) > sent + (gone or "late-flush" in kinds) or (len(got) < sent and not unknown):  # one may be read before it is counted
            raise Failed(f"{len(got)} tweets in the spool of {sent} sent: {stream.end.line}")
        exact += not unknown
    return exact


CAUSES = {"a fault: ended in order": {"server", "network"}, "a fault: reset": {"network"}, "a fault: closed without the last chunk": {"network"},
          "a fault: broken off in the middle of a message": {"network"}, "a fault: the compressed data break off": {"server", "network"},
          "a fault: evicted": {"server", "network"}, "a fault: a disconnect message": {"server", "network"}}


def check_gaps(run, streams, records):
    """One outage between two streams, told once, with its beginning, end and cause."""
    tolerance = 1 + REAL_SLACK * run.speed
    gaps = [(seconds(r["body"]["started_at"]), seconds(r["body"]["ended_at"]), r["body"]["cause"]) for r in records if r["kind"] == "gap"]
    # A stream that began in the moment in which the listener ended may be unknown to its ledger: then no outage ended with it.
    # So may one that was reset before anything of it was read.
    unseen = [s for s in streams if (s.reason == "the client closed it" and run.ended_near(s.begin.at)) or (s.reason == "a fault: reset" and not s.got)]
    streams = streams[:1] + [s for s in streams[1:] if s not in unseen or any(-0.2 <= g[1] - s.begin.at <= 3 for g in gaps)]
    for before, after in zip(streams, streams[1:]):
        gone = any(before.begin.at <= k <= after.begin.at for k in run.kills) or run.ended_near(after.begin.at)
        rows = [g for g in gaps if before.begin.at - 0.01 <= g[0] < after.begin.at]
        gaps = [g for g in gaps if g not in rows]
        if gone and (run.ended_near(before.begin.at) or run.ended_near(after.begin.at)):
            continue  # nor is it sure that the file had what began or was told then: it may be told twice, or not
        if not rows and before in unseen:
            continue
        if not rows or (len(rows) > 1 and not gone):
            raise Failed(f"{len(rows)} gaps {rows} between {before.end.line} and {after.begin.line}")
        for a, b in zip(rows, rows[1:]):
            if a[1] != b[0]:
                raise Failed(f"legs of one outage that do not touch: {rows}")
        began, ended = rows[0][0], rows[-1][1]
        closed = before.reason == "the client closed it"
        corrupt = any(f.kind == "gzip" and f.values.get("how") == "corrupt" for f in before.faults)
        stalled = closed and not gone and rows[0][2] == "stall"
        due = before.end.at - (STALL if stalled else 0)
        # A kill is known to the ledger by the last second in which the listener was noted as alive, by a synced file, which takes real time.
        # Each program's clock has whole milliseconds of real time.
        step = REAL_TIMER * run.speed + 0.002
        sooner = 1.5 + REAL_SYNC * run.speed if gone else tolerance if closed else step
        run.worst = max(run.worst, abs(began - due) if not gone else 0, abs(ended - after.begin.at))
        if not -sooner <= began - due <= tolerance or not -step <= ended - after.begin.at <= tolerance:
            raise Failed(f"a gap from {began - due:+.3f} s to {ended - after.begin.at:+.3f} s of what was done: {before.end.line}, {after.begin.line}")
        cause = {"network"} if closed and corrupt and not stalled else {"stall"} if closed else CAUSES[before.reason]
        if not gone and rows[0][2] not in cause:
            raise Failed(f"cause {rows[0][2]}, not {cause}: {before.end.line}")
    if gaps:
        raise Failed(f"gaps that nobody made: {gaps}")


# ---- one run ----

class Run:
    """One script, one listener (or several lives of it), judged at its end. `postgres`: with an etl and tables."""

    def __init__(self, seed, clock, postgres=None, over=None, lives=None, most=8, without=None):
        dice = random.Random(seed)
        self.seed, self.clock, self.speed, self.postgres = seed, clock, clock.speed, postgres
        self.api = dice.choice((1, 2))
        self.count, self.over = dice.randint(2, most), over or dice.randint(15, 80)
        self.without = ("--faults-without", without) if without else ()
        self.lives = dice.choice((0, 0, 1, 2)) if lives is None else lives
        self.moments = sorted(dice.uniform(1, self.over) for _ in range(self.lives))
        self.ends = [dice.choice(("kill", "stop")) for _ in range(self.lives)]
        self.kills, self.head_waits, self.worst, self.exact = [], {}, 0.0, 0
        with _lock:
            _number[0] += 1
            number = _number[0]
        self.home = folder() / f"run{number}"
        self.home.mkdir()
        self.address = f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"  # so that no other run takes the port while it refuses
        self.running = []

    def ended_near(self, moment):
        """The listener ended then, or so soon after that the ledger's file may not have it."""
        return any(abs(k - moment) < 0.3 * self.speed for k in self.kills)

    def start(self, name, *arguments):
        process = Process(f"{name}-{self.home.name}", *arguments)
        self.running.append(process)
        return process

    def configure(self):
        keys = f"api_key = {API_KEY}\napi_secret = {API_SECRET}\n"
        which = (f"type = x-v1\nurl = {self.base}/1.1/statuses/filter.json\n{keys}access_token = {ACCESS_TOKEN}\naccess_secret = {ACCESS_SECRET}\n"
                 if self.api == 1 else f"type = x-v2\nurl = {self.base}\n{keys}")
        self.database = self.postgres.create() if self.postgres else None
        sink = f"type = postgres\nconninfo = {self.postgres.conninfo} dbname={self.database}" if self.postgres else "type = console"
        self.conf = self.home / "roost.conf"
        self.conf.write_text(f"[source test]\n{which}stall_timeout = {STALL}s\n[filter]\nkeywords = tea\nlocal_filter = no\n"
                             f"[bridge]\nlisten = {self.home / 'b'}\nspool_dir = {self.home / 'spool'}\n"
                             f"[etl]\nbridge = {self.home / 'b'}\nbatch_interval = 200ms\n[sink main]\n{sink}\n")
        self.conf.chmod(0o600)
        if self.postgres:
            roost("migrate", "-c", self.conf)

    def quiet_since(self):
        """The whole script was carried out and a stream is open; since when."""
        events, faults, streams = read_log(self.simulator.log())
        if len(faults) < self.count or not streams or streams[-1].end:
            return None
        return max(streams[-1].begin.at, max(f.at for f in faults.values()))

    def is_settled(self):
        since = self.quiet_since()
        return since is not None and self.clock.now() - since > 5

    def wait_for_end(self, listen):
        """The script is carried out and the listener streams. However long that takes by the ladders, the simulator's log gets a line for each
        attempt, so a silence longer than the longest wait is a listener that has given up, and so are more attempts than any script makes."""
        lines, heard = 0, time.monotonic()
        while not self.is_settled():
            log = self.simulator.log()
            if log.count("\n") > lines:
                lines, heard = log.count("\n"), time.monotonic()
            silent = time.monotonic() - heard > LONGEST_WAIT / self.speed + support.PATIENCE
            if silent or lines > MOST_LINES or self.simulator.poll() is not None or listen.poll() is not None:
                raise Failed(f"the script has not come to its end: {'no attempt any more' if silent else f'{lines} lines'}:\n{listen.log()[-2000:]}")
            time.sleep(0.1)

    def play(self):
        self.simulator = self.start("simulator", "simulate", "--listen", f"{self.address}:0", "--api", self.api, "--rate", RATE, "--wait", "--file",
                                    playlist(), "--recorded-ids", "--no-filter", "--faults-random", self.seed, "--faults-count", self.count,
                                    "--faults-over", self.over, *self.without)
        wait_until("the simulator to listen", lambda: "listening on http" in self.simulator.log(), alive=[self.simulator])
        self.base = next(w for w in self.simulator.log().split() if w.startswith("http://"))
        self.configure()
        listen = self.start("listen", "listen", "-c", self.conf)
        etl = self.start("etl", "etl", "-c", self.conf) if self.postgres else None
        wait_until("the first stream", lambda: "-> 200 account" in self.simulator.log(), alive=[self.simulator, listen])
        first = self.clock.now()
        for moment, how in zip(self.moments, self.ends):
            wait_until("the listener's turn", lambda: self.clock.now() >= first + moment, alive=[self.simulator, listen])
            wait_until("the listener's start", lambda: "listening on" in listen.log(), alive=[self.simulator, listen])  # it heeds SIGTERM then
            self.kills.append(self.clock.now())
            listen.kill() if how == "kill" else listen.stop()
            listen = self.start("listen", "listen", "-c", self.conf)
        self.wait_for_end(listen)
        # A server that stops ends its stream in order: what it has sent is read.
        self.simulator.stop()
        sources = self.home / "spool/sources"
        wait_until("the end of the stream", lambda: '"legs":[{' in sources.read_text(), alive=[listen])
        listen.stop()
        return etl

    def judge(self, etl):
        events, faults, streams = read_log(self.simulator.log())
        records = read_spool(self.home / "spool")
        check_ladders(self, events, faults, streams)
        self.exact = check_posts(self, streams, records)
        check_gaps(self, streams, records)
        for process in self.running:
            log = process.log()
            if "Sanitizer" in log or "runtime error" in log:
                raise Failed(f"{process.name}: {log[-4000:]}")
        self.streams, self.posts = len(streams), sum(r["kind"] == "post" for r in records)
        if etl:
            self.judge_tables(etl, records)

    def judge_tables(self, etl, records):
        listen = self.start("listen", "listen", "-c", self.conf)  # the etl gets the rest from it
        last = next(line for line in roost("spool", self.home / "spool").splitlines() if line.startswith("last ")).split()[1]
        wait_until("the etl to have all", lambda: int(self.postgres.psql("select coalesce(max(sequence), 0) from roost.progress", self.database)) >= int(last),
                   alive=[etl, listen])
        wait_until("the listener's start", lambda: "listening on" in listen.log(), alive=[listen])  # it heeds SIGTERM then
        etl.stop()
        listen.stop()
        rows = {(r["id"], r["text"]) for r in self.postgres.rows("select id, text from roost.posts", self.database)}
        held = {(r["id"], r["text"]) for r in records if r["kind"] == "post"}
        if {(str(i), t) for i, t in rows} != held:
            raise Failed(f"{len(rows)} rows of {len(held)} tweets that the spool held")

    def go(self):
        try:
            etl = self.play()
            self.judge(etl)
        except BaseException:
            print(f"seed {self.seed} (api {self.api}, {self.count} faults over {self.over} s, lives {list(zip(self.moments, self.ends))}): {self.home}", flush=True)
            raise
        finally:
            for process in self.running:
                process.child.kill() if process.poll() is None else None
                process.child.wait()
        for process in self.running:
            process.path.unlink()
        shutil.rmtree(self.home)
        return self


def play(seeds, speed, parallel=1, progress=None, postgres_every=0, **options):
    """Runs all these seeds, several at a time; returns the runs and (seed, what was wrong) of those that failed."""
    clock = support.TestClock(speed)
    todo, done, wrong = list(enumerate(seeds)), [], []
    postgres = support.Postgres() if postgres_every else None

    def work():
        while True:
            with _lock:
                if not todo:
                    return
                place, seed = todo.pop(0)
            try:
                tables = postgres if postgres_every and place % postgres_every == 0 else None
                run = Run(seed, clock, tables, **options).go()
                with _lock:
                    done.append(run)
            except Exception as error:  # the others go on; what is left of this one is kept
                with _lock:
                    wrong.append((seed, str(error)))
            if progress:
                progress(len(done), wrong)

    playlist()
    workers = [threading.Thread(target=work, daemon=True) for _ in range(parallel)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    clock.close()
    return done, wrong
