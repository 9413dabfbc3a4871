#!/usr/bin/env python3
"""roost rules plan and apply against a server of X's v2 rules: what it does, in which order, and what it says when it cannot."""
import email.utils
import shutil
import subprocess
import sys
import time

import support
from fake_x import KEY, SECRET, FakeX
from support import folder, roost

count = 0


def configure(x, lines, more="", token=True, filters=""):
    global count
    count += 1
    home = folder() / f"rules{count}"
    home.mkdir()
    (home / "kw.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    credentials = f"bearer_token = {x.token}" if token else f"api_key = {KEY}\napi_secret = {SECRET}"
    conf = home / "roost.conf"
    conf.write_text(f"[source x]\ntype = x-v2\nurl = {x.url}\n{credentials}\n{more}\n[filter]\nkeywords_file = kw.txt\n{filters}\n")
    conf.chmod(0o600)
    return conf


def rewrite(conf, lines):
    (conf.parent / "kw.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def apply(conf, expected=0):
    return roost("rules", "apply", "-c", conf, expected=expected)


def plan(conf, expected=0):
    return roost("rules", "plan", "-c", conf, expected=expected)


def words(n, start=0):
    return [f"keyword{i:05d} and part{i}" for i in range(start, start + n)]


def test_apply_makes_the_servers_rules_the_files_and_then_there_is_no_difference():
    x = FakeX(page=3)
    x.put("theirs", "another program")
    x.put("untagged")
    conf = configure(x, words(300), filters="languages = en, id\nretweets = no")
    output = plan(conf)
    assert "to add, 0 to delete, 0 stay" in output and "2 of them of other programs" in output, output
    assert not x.changes(), "plan changes nothing"
    output = apply(conf)
    assert " added, 0 deleted" in output, output
    kinds = [what for what, _ in x.changes()]
    assert kinds.index("dry") < kinds.index("add"), kinds
    assert "theirs" in x.values() and "untagged" in x.values()
    assert all(r["tag"].startswith("roost:x:") for r in x.rules.values() if r["value"] not in ("theirs", "untagged"))
    before = dict(x.rules)
    assert "no difference" in plan(conf)
    assert "no difference" in apply(conf)
    assert x.rules == before


def test_a_changed_file_changes_a_few_rules_additions_first_and_the_rest_keep_their_tags():
    x = FakeX()
    conf = configure(x, words(1000))
    apply(conf)
    before, x.requests = dict(x.rules), []
    rewrite(conf, words(1000) + ["addition"])
    apply(conf)
    kept = [i for i in before if x.rules.get(i) == before[i]]
    assert len(kept) >= len(before) - 10, f"{len(before) - len(kept)} of {len(before)} rules changed"
    kinds = [what for what, _ in x.changes()]
    assert kinds == ["dry", "add", "delete"], kinds
    versions = {rule["tag"].split(":")[2] for rule in x.rules.values()}
    assert len(versions) == 2, "unchanged rules keep the old version's tag"


def test_a_wanted_rule_of_another_program_is_left_to_it():
    x = FakeX()
    x.put('"a phrase"', "theirs")
    conf = configure(x, ["= from:ada", '"a phrase"'])
    output = apply(conf)
    assert "left to another program" in output and "theirs" in output, output
    assert x.values() == {'"a phrase"', "from:ada"}
    rewrite(conf, ["= from:ada"])
    apply(conf)
    assert x.values() == {'"a phrase"', "from:ada"}, "what is theirs stays"


def test_a_refused_rule_names_file_and_line_and_changes_nothing():
    x = FakeX()
    x.put("old", "roost:x:00000000:1")
    conf = configure(x, ["one", "two", "= cat h:m", "three"])
    output = apply(conf, expected=2)
    assert "kw.txt:3" in output and "Reference to invalid operator 'h'" in output and "nothing was changed" in output, output
    assert "kw.txt:1" not in output.split("ERROR", 1)[1] and x.values() == {"old"}
    assert [what for what, _ in x.changes()] == ["dry"]


def test_full_accounts_change_in_steps_that_leave_no_keyword_unasked():
    lines = [f'"w{i:04d} stays"' for i in range(400)]
    x = FakeX()
    conf = configure(x, lines, more="rule_length = 256")
    apply(conf)
    x.cap = len(x.rules) + 3
    rewrite(conf, lines + ['"z comes in"'])
    conf.write_text(conf.read_text().replace("rule_length = 256", f"rule_length = 300\nrules_maximum = {x.cap}"))
    missing = []

    def watch():
        everything = " OR ".join(x.values())
        missing.extend(line for line in lines if line not in everything)
    x.watch, x.most = watch, 0
    output = apply(conf)
    assert not missing, missing[:5]
    assert x.most <= x.cap and "no difference" in plan(conf), output


def test_others_that_leave_no_room_are_said_with_figures():
    x = FakeX()
    for i in range(3):
        x.put(f"theirs{i}")
    output = apply(configure(x, ["= one", "= two"], more="rules_maximum = 4"), expected=2)
    assert "wants 2 rules" in output and "3 of other programs" in output and not x.changes(), output


def test_a_token_is_fetched_and_renewed_and_no_secret_is_shown():
    x = FakeX()
    conf = configure(x, ["word"], token=False)
    output = apply(conf)
    assert x.tokens_given == 1 and len(x.rules) == 1
    rewrite(conf, ["word", "more"])

    def revoke(handler):
        handler.answer(401, {"title": "Unauthorized", "status": 401})
        return True
    x.script = [lambda handler: None, revoke]
    output += apply(conf)
    assert x.tokens_given == 3 and len(x.rules) == 1
    x.token = "hush-another"
    bad = configure(x, ["word"], token=True)
    bad.write_text(bad.read_text().replace("hush-another", "hush-wrong"))
    output += plan(bad, expected=2)
    wrong = configure(x, ["word"], token=False)
    wrong.write_text(wrong.read_text().replace(SECRET, "hush-wrong-secret"))
    output += plan(wrong, expected=2)
    assert "401" in output and "Unable to verify your credentials" in output, output
    assert "hush" not in output and KEY not in output, output


def test_a_wrong_clock_is_told_with_the_401():
    x = FakeX()

    def skewed(handler):
        handler.send_response_only(401)
        handler.send_header("Date", email.utils.formatdate(time.time() - 7200, usegmt=True))
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"{}")
        return True
    x.script = [skewed]
    output = plan(configure(x, ["word"]), expected=2)
    assert "clock is 7" in output and "before the server's" in output, output


def test_rate_limits_are_waited_for_and_a_long_wait_is_not_begun():
    x = FakeX()

    def limited(seconds):
        def answer(handler):
            handler.answer(429, {"title": "Too Many Requests", "status": 429}, [("x-rate-limit-reset", str(int(time.time()) + seconds))])
            return True
        return answer
    conf = configure(x, ["word"])
    x.script = [limited(1)]
    output = apply(conf)
    assert "429" in output and "trying again in" in output and len(x.rules) == 1, output
    x.script = [limited(5000)]
    output = plan(conf, expected=1)
    assert "longer than waits here" in output, output


def test_answers_that_are_none_are_tried_again():
    x = FakeX()

    def cut(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"data":[')
        handler.close_connection = True
        return True
    x.script = [cut, cut]
    output = apply(configure(x, ["word"]))
    assert output.count("trying again") == 2 and len(x.rules) == 1, output


def test_forbidden_and_absent_are_final():
    x = FakeX()

    def forbidden(handler):
        handler.answer(403, {"title": "Client Forbidden", "reason": "client-not-enrolled", "detail": "Not enrolled", "type": "https://api.x.com/2/problems/client-forbidden"})
        return True
    conf = configure(x, ["word"])
    x.script = [forbidden]
    output = plan(conf, expected=2)
    assert "403" in output and "Not enrolled" in output, output
    conf.write_text(conf.read_text().replace(x.url, x.url + "/elsewhere/"))
    assert "is url the API's base?" in plan(conf, expected=2)


def test_a_certificate_that_nobody_vouches_for_is_refused_but_by_the_long_named_key():
    if not shutil.which("openssl"):
        return print("  (without openssl: not tried)")
    certificate = folder() / "certificate.pem", folder() / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-out", certificate[0],
                    "-keyout", certificate[1]], check=True, stderr=subprocess.DEVNULL)
    x = FakeX(certificate=certificate)
    conf = configure(x, ["word"])
    output = plan(conf, expected=1)
    assert "certificate" in output and not x.requests, output
    conf.write_text(conf.read_text().replace("type = x-v2", "type = x-v2\ntls_insecure_accept_any_certificate = yes"))
    output = apply(conf)
    assert len(x.rules) == 1 and "tls_insecure_accept_any_certificate = yes" in output, "it is said each time: " + output


def test_a_source_is_named_and_others_have_no_rules():
    x = FakeX()
    conf = configure(x, ["word"])
    assert "[source x]" in roost("rules", "show", "-c", conf, "--source", "x")
    assert "no [source y]" in roost("rules", "show", "-c", conf, "--source", "y", expected=2)
    assert "is wanted" in roost("rules", "-c", conf, expected=2)
    assert "--json goes with show" in roost("rules", "plan", "--json", "-c", conf, expected=2)
    checked = roost("check", "-c", conf)
    assert "rules: 1 of at most 1000, 999 remain" in checked and "rule 1 asks for word OR #word OR @word" in checked, checked
    assert x.token not in checked


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
