"""SIGKILL of listen, etl, PostgreSQL and the network's server at random moments; afterwards each tweet that the spool held is in the tables
once, with its exact text.

`tests/crash` runs this with many rounds, `test_crashes.py` with few. What a round kills, and when, follows from the seed; what the programs
are doing at that moment does not.

Each tweet of the stream is a recorded one under an id of its own, so that what is killed is never only the loading of repeats. Repeats come
as networks send them: after each reconnection the last ones once more.
"""
import collections
import hashlib
import json
import os
import pathlib
import re
import subprocess
import time

import reading
import support
from support import Postgres, Process, folder, recorded, roost, wait_until, write_configuration

LIFE = 1500     # tweets that one life of the network's server has to send
RATE = 700      # a second
REPEAT = 300    # tweets that each new connection begins with again
OVERLAP = 3000  # numbers below the last noted one that each look at the spool compares again
AGAIN = 0.4     # how often a victim dies once more while it recovers
SERVICES = ("listen", "etl", "postgres")
NAMES = (*SERVICES, "network")


# ---- what is killed: each has start(), kill(), and keep(), called again and again, which fails when it has died by itself ----

class Program:
    """A roost subcommand."""

    def __init__(self, name, *arguments):
        self.name, self.arguments = name, arguments
        self.process = None

    def start(self, environment=None):
        self.process = Process(self.name, *self.arguments, environment=environment)

    def alive(self):
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.process.log()[-3000:]}"

    def keep(self):
        self.alive()

    def kill(self):
        self.alive()
        self.process.kill()
        log = self.process.log()
        assert "Sanitizer" not in log and "runtime error" not in log, f"{self.name}:\n{log[-6000:]}"

    def stop(self):
        self.alive()
        self.process.stop()


class Database:
    """PostgreSQL with a database of its own."""

    name = "postgres"

    def __init__(self):
        self.server = Postgres()
        self.database = self.server.create()

    def start(self):
        self.server.run("up")

    def start_and_kill(self, wait):
        """Killed while it recovers."""
        starting = subprocess.Popen(["bash", str(self.server.script), "up", str(self.server.folder)], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL)
        time.sleep(wait)
        pid = self.server.folder / "data/postmaster.pid"
        wait_until("the server's pid file", lambda: pid.exists() and pid.read_text().strip() or starting.poll() is not None)
        self.server.run("kill")
        starting.wait(support.PATIENCE)

    def kill(self):
        self.server.run("kill")

    def keep(self):
        pass

    def number(self, statement):
        """The value of a query; None while the server is away."""
        value = self.server.psql(statement, self.database, check=False)
        return None if value is None else int(value)

    def numbers(self, statement):
        return [int(v) for v in self.server.psql(statement, self.database).split("\t")]


class Network(Program):
    """The streaming API's server. Each life plays the next LIFE tweets at the same address, and some lives cut each stream off in the middle
    of a tweet. The address is one that no other test takes while nobody listens there."""

    def __init__(self, chance):
        super().__init__("simulate")
        self.chance = chance
        self.path = folder() / "network.ndjson"
        self.address = f"127.{os.getpid() >> 14 & 127 | 128}.{os.getpid() >> 7 & 127}.{os.getpid() & 127 | 128}:0"
        self.tweets = []
        for line in recorded("tweets-v1.1.ndjson").read_bytes().split(b"\n"):
            if line.strip():
                tweet = json.loads(line)
                text = reading.full_text(tweet)
                if tweet["id_str"] not in text:
                    self.tweets.append((line.strip(), tweet["id_str"], text))
        self.offered = 0
        self.texts = {}  # id: text of every tweet that was ever to be sent
        self.lives = self.connections = self.cuts = 0

    def next_tweet(self):
        line, identifier, text = self.tweets[self.offered % len(self.tweets)]
        self.offered += 1
        fresh = int(identifier) + 1
        while str(fresh) in self.texts:
            fresh += 1
        self.texts[str(fresh)] = text
        return line.replace(identifier.encode(), str(fresh).encode())

    def start(self, environment=None):
        self.path.write_bytes(b"".join(self.next_tweet() + b"\r\n" for _ in range(LIFE)))
        cut = ["--cut-after", self.chance.randint(50, LIFE)] if self.chance.random() < 0.5 else []
        self.arguments = ("simulate", "--listen", self.address, "--file", self.path, "--no-filter", "--rate", RATE, "--wait", "--repeat", REPEAT,
                          *cut)
        self.lives += 1
        self.cut_after = cut
        super().start({"ASAN_OPTIONS": "detect_leaks=0"})
        wait_until("the network's server", lambda: "listening on http" in self.process.log(), alive=[self.process])
        base = next(w for w in self.process.log().split() if w.startswith("http://"))
        self.address = base.removeprefix("http://")
        self.url = base + "/1.1/statuses/filter.json"
        self.began = None

    def count(self):
        log = self.process.log()
        self.connections += log.count(" -> 200 ")
        self.cuts += log.count("cut off in the middle of a message")

    def kill(self):
        self.count()
        super().kill()

    def keep(self):
        """When all is sent, the next life begins."""
        self.alive()
        if self.began is None and " -> 200 " in self.process.log():
            self.began = time.monotonic()
        if self.began is not None and time.monotonic() - self.began > LIFE / RATE + 1:
            self.kill()
            self.start()

    def stop(self):
        self.count()
        super().stop()


class PowerLoss:
    """A further kind of death of listen: unsynced writes go with it, some or all (tests/DESIGN.md, "Power loss"). It dies by itself at some
    operation, and its end is awaited."""

    library = pathlib.Path(support.ROOST).parent / "tests/power_loss.so"

    def __init__(self, world):
        self.world = world

    def strike(self):
        world, chance = self.world, self.world.chance
        world.listen.kill()
        world.listen.start(environment={"LD_PRELOAD": str(self.library), "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0",
                                        "POWER_LOSS_FOLDER": str(world.spool), "POWER_LOSS_SEED": str(chance.randrange(1 << 32)),
                                        "POWER_LOSS_AFTER": str(chance.randint(1, 120))})
        # Looked at all the while: what is seen as held must be there afterwards.
        wait_until("listen to lose its power", lambda: world.notes.take(pause=0.1) or world.keep("etl", "network") or
                   world.listen.process.poll() is not None)
        assert "power_loss: power failed" in world.listen.process.log(), world.listen.process.log()[-3000:]
        world.listen.start()
        world.deaths["listen by loss of power"] += 1


# ---- what must still be there afterwards ----

class Notes:
    """What `roost spool` ever showed as held: number, post and text."""

    def __init__(self, spool):
        self.spool = spool
        self.digests = {}  # number: digest of the frame
        self.posts = collections.Counter()
        self.texts = {}    # id: text as it stood in the spool
        self.events = 0
        self.identity = None
        self.missing = set()  # numbers that no frame has
        self.last = 0
        self.taken = 0.0

    def look(self):
        values = dict(line.split(None, 1) for line in roost("spool", self.spool).splitlines() if not line.startswith(("consumer", "damage")))
        if self.identity is None and values["identity"] != "none":
            self.identity = values["identity"]
        assert values["identity"] in (self.identity, "none"), f"the spool is a new one: {values}, it was {self.identity}"
        return int(values["first"]), int(values["last"]), int(values["held"])

    def cat(self, begin, end):
        """[(number, line)] of the frames begin to end; None: some went meanwhile."""
        done = subprocess.run([support.ROOST, "spool", "--cat", "--from", str(begin), "--to", str(end), str(self.spool)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=support.PATIENCE)
        damage = done.stderr.decode()
        assert done.returncode == 0 and "Sanitizer" not in damage, damage
        for first, last in re.findall(r"(?:missing|corrupt): frames (\d+) to (\d+)", damage):
            gone = range(int(first), int(last) + 1)
            assert not any(n in self.digests for n in gone), f"frames that were held are damaged:\n{damage}"
            self.missing.update(gone)
        numbers = [n for n in range(begin, end + 1) if n not in self.missing]
        lines = done.stdout.split(b"\n")[:-1]
        return list(zip(numbers, lines)) if len(numbers) == len(lines) else None

    def take(self, pause=0):
        """Notes what is held now, and that nothing noted before has changed. Not when it did so less than `pause` seconds ago."""
        if time.monotonic() - self.taken < pause:
            return
        self.taken = time.monotonic()
        for _ in range(20):
            first, last, held = self.look()
            assert last >= self.last, f"the spool ends at {last}, but {self.last} was held"
            begin = max(first, self.last - OVERLAP, 1)
            if held < begin:
                return
            frames = self.cat(begin, held)
            if frames is not None:
                break
        else:
            raise AssertionError(f"the frames {begin} to {held} of the spool are not whole")
        for number, line in frames:
            digest = hashlib.blake2b(line, digest_size=8).digest()
            if number in self.digests:
                assert self.digests[number] == digest, f"number {number} has had two frames; now:\n{line.decode()}"
            else:
                self.digests[number] = digest
                self.add(json.loads(line))
        self.last = max(self.last, held)

    def add(self, frame):
        if frame["kind"] != "post":
            self.events += 1
            return
        self.posts[frame["id"]] += 1
        assert self.texts.setdefault(frame["id"], frame["text"]) == frame["text"], f"{frame['id']} has had two texts"


class World:
    def __init__(self, chance):
        self.chance = chance
        self.postgres = Database()
        self.network = Network(chance)
        self.network.start()
        # A segment is a sixteenth of the maximum: with the lower ones, segments begin and go while others die.
        self.settings = f"spool_max = {chance.choice(['16MiB', '64MiB', '4GiB'])}\nspool_sync = {chance.choice(['0ms', '100ms', '1000ms'])}"
        self.conf = write_configuration("crash", self.network.url, self.postgres.database, self.postgres.server, bridge=self.settings)
        self.spool = pathlib.Path(self.conf).parent / "spool"
        roost("migrate", "-c", self.conf)
        self.notes = Notes(self.spool)
        self.listen = Program("listen", "listen", "-c", self.conf)
        self.etl = Program("etl", "etl", "-c", self.conf)
        self.listen.start()
        self.etl.start()
        wait_until("the spool", lambda: (self.spool / "token").exists(), alive=[self.listen.process])
        self.deaths = collections.Counter()
        self.power = PowerLoss(self) if PowerLoss.library.exists() else None

    def keep(self, *names):
        for name in names or NAMES:
            getattr(self, name).keep()

    def progress(self):
        """At least one batch is committed from now on."""
        def newest():
            self.keep()
            self.notes.take(pause=0.3)
            return self.postgres.number("select coalesce(max(id), 0) + 1 from roost.batches")
        before = wait_until("the database", newest)
        wait_until("a batch", lambda: (newest() or 0) > before)

    def kill(self, name):
        victim = getattr(self, name)
        victim.kill()
        self.deaths[name] += 1
        while self.chance.random() < AGAIN and name != "network":
            # Once more while it recovers: from before its first steps until it works again.
            wait = self.chance.choice([0, 0.02, 0.1, 0.3]) * self.chance.random()
            if name == "postgres":
                victim.start_and_kill(wait)
            else:
                victim.start()
                time.sleep(wait)
                victim.kill()
            self.deaths[f"{name} again"] += 1
        if self.chance.random() < 0.3:
            time.sleep(self.chance.uniform(0, 0.5))
        victim.start()

    def round(self):
        """The waits here are the experiment, in place of no condition."""
        if self.chance.random() < 0.75:
            self.progress()
        time.sleep(self.chance.uniform(0, 0.5))
        if self.power and self.chance.random() < 0.15:
            self.power.strike()
            return
        names = NAMES if self.chance.random() < 0.3 else SERVICES
        how_many = self.chance.choice([1, 1, 1, 2, 2, 3])
        for name in self.chance.sample(names, how_many):
            self.keep()
            self.notes.take()
            time.sleep(self.chance.choice([0, 0.01, 0.1]) * self.chance.random())
            self.kill(name)

    def settle(self):
        """The stream ends, what the spool has is loaded, all stop."""
        self.network.stop()
        def agrees():
            self.keep("etl", "listen")
            done = subprocess.run([support.ROOST, "audit", "-c", str(self.conf)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  timeout=support.PATIENCE)
            self.audit = done.stdout
            return done.returncode == 0 and ", 0 behind the position" in done.stdout and ": all agrees\n" in done.stdout
        try:
            wait_until("the tables to have all that the spool has", agrees)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.audit}") from None
        self.notes.take()
        self.etl.stop()
        self.listen.stop()


# ---- the end ----

def check_batches(world):
    """Every frame was taken once, and what became of it is accounted for."""
    notes, numbers = world.notes, world.postgres.numbers
    assert numbers("select count(*) from pg_constraint where conname = 'batches_conserve' and convalidated") == [1]
    assert numbers("select count(*) from roost.batches where received <> loaded + duplicate + filtered + rejected + events") == [0]
    assert numbers("select count(distinct (consumer, spool)) from roost.batches") == [1], "one spool, never a new one"
    assert numbers("select count(*) from (select first_sequence <= lag(last_sequence) over (order by first_sequence) as twice"
                   " from roost.batches) b where twice") == [0], "no number was taken twice"
    frames, last, duplicates, rejected, events = numbers(
        "select sum(received - filtered), max(last_sequence), sum(duplicate), sum(rejected), sum(events) from roost.batches")
    # Where numbers have no frame, which was never held, the etl's word of it stands in the place of the last of them.
    told, missing = numbers("select count(*), coalesce(sum((body->>'undelivered')::bigint), 0) from roost.events"
                            " where kind = 'gap' and body->>'detail' like 'consumer etl lacks%'")
    assert frames - told + missing == last, f"{frames} frames taken, {told} gaps of {missing} numbers, the last is {last}"
    assert len(notes.missing) <= missing, "a number that no frame has is told"
    assert rejected == 0
    assert numbers("select count(*) from roost.events") == [events]
    posts = numbers("select count(*) from roost.posts")[0]
    assert posts + duplicates + events == frames, f"{posts} posts + {duplicates} duplicates + {events} events of {frames} frames"
    if len(notes.digests) == frames - told:
        assert duplicates == notes.posts.total() - len(notes.posts), "what was repeated was repeated by the network"
    return frames, duplicates, events


def check_posts(world):
    """Each tweet that was held is there once; none that never was sent; every text is exact."""
    found = collections.Counter()
    for row in world.postgres.server.rows("select id, text from roost.posts", world.postgres.database):
        found[row["id"]] += 1
        assert row["id"] in world.network.texts, f"{row['id']} was never sent"
        assert row["text"] == world.network.texts[row["id"]], f"{row['id']}: {row['text']!r} is not {world.network.texts[row['id']]!r}"
    held = world.notes.posts
    lost = [i for i in held if i not in found]
    twice = [i for i, n in found.items() if n > 1]
    assert not lost, f"{len(lost)} tweets that were held are not in roost.posts: {lost[:10]}"
    assert not twice, f"{len(twice)} tweets are there more than once: {twice[:10]}"
    for identifier, text in world.notes.texts.items():
        assert text == world.network.texts[identifier], f"{identifier} stood in the spool as {text!r}"
    return len(held), len(found)


def run(rounds, seed, chance, progress=None):
    """Raises AssertionError when something does not hold; prints the seed first, the counts at the end."""
    print(f"seed {seed}, {rounds} rounds, {support.ROOST}", flush=True)
    began = time.monotonic()
    world = World(chance)
    print(world.settings.replace("\n", ", "), flush=True)
    for number in range(1, rounds + 1):
        world.round()
        if progress:
            progress(number, world)
    world.settle()
    frames, duplicates, events = check_batches(world)
    held, posts = check_posts(world)
    network, notes = world.network, world.notes
    print(f"killed: {', '.join(f'{name} {world.deaths[name]}' for name in sorted(world.deaths))}")
    print(f"network: {network.lives} lives, {network.connections} connections, {network.cuts} cut off, {network.offered} tweets offered")
    print(f"spool: {frames} frames taken, {len(notes.digests)} seen as held before a kill or at the end, {len(notes.missing)} numbers without a frame")
    print(f"tables: {posts} posts, {held} of them seen as held, none lost, none twice, all texts exact; {duplicates} duplicates, {events} events")
    print(roost("audit", "-c", world.conf), end="")
    print(f"{time.monotonic() - began:.0f} s", flush=True)
