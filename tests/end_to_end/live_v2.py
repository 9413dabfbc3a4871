"""What the tests of roost listen on X's v2 share: a configuration, calls of the API, a clock that hurries."""
import contextlib
import json
import urllib.request

from support import API_KEY, API_SECRET, Process, TestClock, folder, roost, wait_until

TOKEN = "roostDemoBearerTokenThatIsNoSecret%3D"
RULES = "/2/tweets/search/stream/rules"
count = 0  # of configurations


def configure(base, keywords, more="", database=None, postgres=None, credentials=f"api_key = {API_KEY}\napi_secret = {API_SECRET}"):
    global count
    count += 1
    home = folder() / f"c{count}"
    home.mkdir()
    (home / "kw.txt").write_text("\n".join(keywords) + "\n", encoding="utf-8")
    sink = f"[sink main]\ntype = postgres\nconninfo = {postgres.conninfo} dbname={database}\n" if postgres else ""
    conf = home / "roost.conf"
    conf.write_text(f"[source x]\ntype = x-v2\nurl = {base}\n{credentials}\n{more}\n[filter]\nkeywords_file = kw.txt\n"
                    f"[bridge]\nlisten = {home / 'b.sock'}\nspool_dir = {home / 'spool'}\n[etl]\nbatch_interval = 200ms\n{sink}")
    conf.chmod(0o600)
    return conf


def call(base, method, path, body=None):
    request = urllib.request.Request(base + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                     headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or b"{}")


def rules(base):
    return {rule["value"]: rule.get("tag") for rule in call(base, "GET", RULES).get("data", [])}


@contextlib.contextmanager
def hurry():
    """Programs started in it wait for an eighth of the time that the ladders say."""
    clock = TestClock(speed=8)
    try:
        yield
    finally:
        clock.close()


def listen(conf):
    return Process("listen", "listen", "-c", conf)


def streams(process, simulator, times=1):
    wait_until("the stream", lambda: simulator.log().count("GET /2/tweets/search/stream -> 200") >= times, alive=[process, simulator])


def write_faults(text):
    path = folder() / f"faults{count}"
    path.write_text(text)
    return path


def payload(number):
    """Every second post is about what stays, the others about what goes or comes; 30 s of a real second each are one here."""
    word = ("stays", "old", "stays", "new")[number % 4]
    return {"data": {"id": str(10**18 + (number << 22)), "text": f"post {number} that {word}", "author_id": "7", "lang": "en"}}


def in_spool(conf):
    lines = [json.loads(line) for line in roost("spool", "--cat", conf.parent / "spool").split("\n") if line]
    return {line["id"]: line for line in lines if line["kind"] == "post"}
