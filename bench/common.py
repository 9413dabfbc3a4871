"""What the benchmarks share: the release build, the simulator and the services as processes, a private PostgreSQL, figures from /proc."""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[1]
BUILD = SOURCE / "build/release"
ROOST = os.environ.get("ROOST")  # another binary than the release build
SHARED = pathlib.Path(os.environ.get("SHARED", SOURCE / "../shared"))
RECORDED = SHARED / "data/tweets-v1.1.ndjson"
DATA = "recorded" if RECORDED.exists() else "sample"
# What roost asks the v2 stream for (ingest/x_v2_post.h); what a client does not ask for, the simulator cuts out.
V2_FIELDS = "&".join(name + "=" + re.search(rf'define X_V2_POST_{macro}\s*\\?\s*((?:"[^"]*"[\s\\]*)+)', (SOURCE / "ingest/x_v2_post.h").read_text())[1]
                     .translate(str.maketrans("", "", '" \\\n')) for name, macro in
                     (("tweet.fields", "TWEET_FIELDS"), ("expansions", "EXPANSIONS"), ("user.fields", "USER_FIELDS"),
                      ("place.fields", "PLACE_FIELDS"), ("media.fields", "MEDIA_FIELDS")))
TICKS = os.sysconf("SC_CLK_TCK")
children = []

X_V1 = """type = x-v1
api_key = roostDemoApiKey
api_secret = roostDemoApiSecretThatIsNoSecret
access_token = 1000001-roostDemoAccessToken
access_secret = roostDemoAccessSecretThatIsNoSecret"""
X_V2 = """type = x-v2
bearer_token = roostDemoBearerTokenThatIsNoSecret%3D"""


def build(target="roost"):
    """The release build up to `target`, unless ROOST names a binary and no more than that is needed."""
    global ROOST
    if ROOST is None or target != "roost":
        for command in (["cmake", "--preset", "release"], ["cmake", "--build", str(BUILD), "--target", target]):
            subprocess.run(command, cwd=SOURCE, check=True, stdout=subprocess.DEVNULL)
    ROOST = ROOST or str(BUILD / "roost")


def spawn(log, *arguments):
    """A running roost subcommand with its output in a file."""
    with open(log, "wb") as file:
        child = subprocess.Popen([ROOST, *map(str, arguments)], stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    children.append(child)
    return child


def stop(*some):
    for child in some:
        child.terminate()
        child.wait()


def cpu_seconds(child):
    fields = pathlib.Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(child):
    """Now and at most, MiB."""
    found = {}
    for line in pathlib.Path(f"/proc/{child.pid}/status").read_text().splitlines():
        if line.startswith(("VmRSS:", "VmHWM:")):
            found[line[:5]] = int(line.split()[1]) / 1024
    return found["VmRSS"], found["VmHWM"]


def listens(path):
    """Whether a process listens at this Unix socket (flag 0x10000 in /proc/net/unix); asking by connecting would be a first client."""
    lines = pathlib.Path("/proc/net/unix").read_text().splitlines()
    return any(line.endswith(f" {path}") and line.split()[3] == "00010000" for line in lines)


class Database:
    """A private cluster."""

    def __init__(self, folder):
        self.folder = folder / "pg"
        self.conninfo = self.run("start", str(os.getpid())).strip().splitlines()[-1].removesuffix(" dbname=postgres")

    def run(self, verb, *more):
        return subprocess.run(["bash", str(SOURCE / "tests/support/postgres.sh"), verb, str(self.folder), *more], check=True,
                              stdout=subprocess.PIPE, text=True).stdout

    def psql(self, statement, database="postgres"):
        return subprocess.run(["psql", "-X", "-q", "-At", f"{self.conninfo} dbname={database}", "-c", statement], check=True,
                              stdout=subprocess.PIPE, text=True).stdout.strip()

    def number(self, statement, database="postgres"):
        return int(self.psql(statement, database) or 0)


class Bench:
    """A folder, a database server, and what runs in them."""

    def __init__(self, folder):
        self.folder = folder
        self.database = Database(folder)
        self.file = ["--file", RECORDED] if DATA == "recorded" else []
        self.count = 0

    def simulator(self, *more):
        """Plays the recorded tweets again and again, each pass new to the tables. Returns the process and the stream's URL."""
        self.count += 1
        log = self.folder / f"simulator{self.count}.log"
        child = spawn(log, "simulate", "--listen", "127.0.0.1:0", *self.file, "--loop", "--fresh-ids", "--no-auth", "--no-filter", *more)
        while "listening on http" not in log.read_text():
            assert child.poll() is None, log.read_text()
            time.sleep(0.01)
        base = next(w for w in log.read_text().split() if w.startswith("http://"))
        return child, base if "--api" in more else base + "/1.1/statuses/filter.json"

    def configure(self, url, database=None, bridge="start = now", etl=""):
        """A configuration in a folder of its own; with a database, its tables are made, too. Returns the file and the folder."""
        self.count += 1
        home = self.folder / f"run{self.count}"
        home.mkdir()
        sink = f"type = postgres\nconninfo = {self.database.conninfo} dbname={database}" if database else "type = console"
        conf = home / "roost.conf"
        source = X_V1 if "/1.1/" in url else X_V2
        conf.write_text(f"""[source bench]
url = {url}
{source}
[filter]
keywords = the, de, que, love, coffee, music
[bridge]
listen = {home}/bridge.sock
spool_dir = {home}/spool
{bridge}
[etl]
bridge = {home}/bridge.sock
{etl}
[sink main]
{sink}
""")
        conf.chmod(0o600)
        if database:
            self.database.psql(f"create database {database}")
            subprocess.run([ROOST, "migrate", "-c", str(conf)], check=True, stderr=subprocess.DEVNULL)
        return conf, home

    def services(self, conf, home):
        return spawn(home / "listen.log", "listen", "-c", conf), spawn(home / "etl.log", "etl", "-c", conf)

    def curl(self, tweets, *options):
        """(seconds, CPU seconds) in which curl reads so many tweets to nothing."""
        child, url = self.simulator("--total", tweets, "--at-end", "close")
        began = time.monotonic()
        done = subprocess.Popen(["curl", "-sS", "-o", "/dev/null", *options, "-d", "track=the", url])
        _, _, usage = os.wait4(done.pid, 0)
        seconds = time.monotonic() - began
        stop(child)
        return seconds, usage.ru_utime + usage.ru_stime

    def curl_v2(self, tweets):
        """The same of the v2 stream, with the fields that roost asks for; one rule, which --no-filter makes match everything."""
        child, url = self.simulator("--total", tweets, "--at-end", "close", "--api", "2")
        rule = ["-H", "Content-Type: application/json", "-d", '{"add":[{"value":"the"}]}', f"{url}/2/tweets/search/stream/rules"]
        subprocess.run(["curl", "-sS", "-o", "/dev/null", *rule], check=True)
        began = time.monotonic()
        done = subprocess.Popen(["curl", "-sS", "-o", "/dev/null", f"{url}/2/tweets/search/stream?{V2_FIELDS}"])
        _, _, usage = os.wait4(done.pid, 0)
        seconds = time.monotonic() - began
        stop(child)
        return seconds, usage.ru_utime + usage.ru_stime

    def start_for_clients(self, tweets, bridge="", api=()):
        """A simulator with so many tweets, and a listen that begins when its first client is there: (simulator, listen, folder)."""
        child, url = self.simulator("--total", tweets, *api)
        conf, home = self.configure(url, bridge=f"start = on_client\n{bridge}")
        listen = spawn(home / "listen.log", "listen", "-c", conf)
        while not listens(home / "bridge.sock") or not (home / "spool/token").exists():
            assert listen.poll() is None, (home / "listen.log").read_text()
            time.sleep(0.01)
        return child, listen, home

    def read_frames(self, listen, home, tweets):
        """(seconds, CPU seconds of listen) until a numbered client that keeps nothing has so many frames."""
        began, cpu = time.monotonic(), cpu_seconds(listen)
        subprocess.run([str(BUILD / "bench/read_frames"), f"{home}/bridge.sock", f"{home}/spool/token", str(tweets)], check=True,
                       stdout=subprocess.DEVNULL)
        return time.monotonic() - began, cpu_seconds(listen) - cpu

    def whole_path(self, database, tweets, bridge=""):
        """(seconds, CPU seconds of both services) from their start until the last of so many tweets is committed."""
        child, url = self.simulator("--total", tweets)
        conf, home = self.configure(url, database, bridge=f"start = now\n{bridge}")
        began = time.monotonic()
        listen, etl = self.services(conf, home)
        while self.database.number("select coalesce(sum(loaded + duplicate), 0) from roost.batches", database) < tweets:
            assert listen.poll() is None and etl.poll() is None, (home / "etl.log").read_text()
            time.sleep(0.1)
        result = time.monotonic() - began, cpu_seconds(listen) + cpu_seconds(etl)
        stop(etl, listen, child)
        return result


@contextlib.contextmanager
def bench(name):
    """A Bench in a folder that is gone afterwards, with all that was started."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"roost-{name}-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield Bench(folder)
    finally:
        for child in children:
            child.kill()
        subprocess.run(["bash", str(SOURCE / "tests/support/postgres.sh"), "stop", str(folder / "pg")], check=False)
        shutil.rmtree(folder, ignore_errors=True)
