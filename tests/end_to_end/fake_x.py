"""X's v2 API, as the document says (sections 5.2, 5.3, 5.7), in a thread, for answers that `roost simulate` cannot give; rules are judged
by rule_evaluator. What it is asked is kept in `requests`; `script` is a list of functions that may answer the next requests first.
Each stream gets `lines` (bytes, whatever they are), in chunks that respect nothing, then keep-alives.
"""
import base64
import contextlib
import http.server
import json
import random
import ssl
import threading
import time
import urllib.parse

from rule_evaluator import Rule, RuleError

KEY, SECRET = "key%of", "hush/secret"


class FakeX:
    def __init__(self, cap=1000, page=1000, length=1024, certificate=None, lines=()):
        self.body = b"".join(line + b"\r\n" for line in lines)
        self.streams = []  # (address, headers) of each request for a stream
        self.cap, self.page, self.length = cap, page, length
        self.token, self.tokens_given = "hush%2Ftoken", 0
        self.rules, self.next_id = {}, 1000  # id -> {"id", "value", "tag"?}
        self.requests, self.script, self.watch = [], [], lambda: None
        self.most = 0
        handler = type("Handler", (Handler,), {"x": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        if certificate:  # (certificate file, key file)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def put(self, value, tag=None):
        self.next_id += 1
        rule = {"id": str(self.next_id), "value": value}
        if tag:
            rule["tag"] = tag
        self.rules[rule["id"]] = rule
        self.most = max(self.most, len(self.rules))
        self.watch()
        return rule

    def values(self):
        return {rule["value"] for rule in self.rules.values()}

    def changes(self):
        """The requests that change something, in order: ("dry" | "add" | "delete", how many)."""
        out = []
        for method, path, body in self.requests:
            if method == "POST" and "rules" in path:
                what = "dry" if "dry_run=true" in path else "add" if "add" in body else "delete"
                out.append((what, len(body.get("add", body.get("delete", {}).get("ids", [])))))
        return out

    def token_answer(self, header):
        expected = base64.b64encode(f"{urllib.parse.quote(KEY, safe='')}:{urllib.parse.quote(SECRET, safe='')}".encode()).decode()
        if header != "Basic " + expected:
            return 403, {"errors": [{"code": 99, "label": "authenticity_token_error", "message": "Unable to verify your credentials"}]}
        self.tokens_given += 1
        return 200, {"token_type": "bearer", "access_token": self.token}

    def list_answer(self, query):
        start = int(query.get("pagination_token", ["t0"])[0][1:])
        ids = sorted(self.rules)
        page = [self.rules[i] for i in ids[start:start + self.page]]
        answer = {"meta": {"sent": "2026-07-01T00:00:00.000Z", "result_count": len(page)}}
        if page:
            answer["data"] = page
        if start + self.page < len(ids):
            answer["meta"]["next_token"] = f"t{start + self.page}"
        return 200, answer

    def add_answer(self, rules, dry):
        data, errors = [], []
        for rule in rules:
            value = rule["value"]
            known = next((r for r in self.rules.values() if r["value"] == value), None)
            if known:
                errors.append({"value": value, "id": known["id"], "title": "DuplicateRule", "type": "https://api.twitter.com/2/problems/duplicate-rules"})
                continue
            try:
                Rule(value, self.length)
            except RuleError as error:
                at = value.find(str(error).split("'")[1]) + 1 if "'" in str(error) else 1
                errors.append({"value": value, "details": [f"{error} (at position {at})."], "title": "UnprocessableEntity",
                               "type": "https://api.x.com/2/problems/invalid-rules"})
                continue
            if len(self.rules) + (len(data) if dry else 0) >= self.cap:
                errors.append({"value": value, "title": "RulesCapExceeded", "detail": "too many", "type": "https://api.x.com/2/problems/rule-cap"})
                continue
            data.append({"id": "0", "value": value} if dry else self.put(value, rule.get("tag")))
        summary = {"created": len(data), "not_created": len(errors), "valid": len(data), "invalid": len(errors)}
        answer = {"meta": {"sent": "2026-07-01T00:00:00.000Z", "summary": summary}}
        if data:
            answer["data"] = data
        if errors:
            answer["errors"] = errors
        return (201 if data else 400 if any(e["title"] == "UnprocessableEntity" for e in errors) else 200), answer

    def delete_answer(self, ids):
        gone = [i for i in ids if self.rules.pop(i, None)]
        self.watch()
        return 200, {"meta": {"sent": "2026-07-01T00:00:00.000Z", "summary": {"deleted": len(gone), "not_deleted": len(ids) - len(gone)}}}


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        with contextlib.suppress(ConnectionError):  # the client may have been stopped
            self.end_headers()
            self.wfile.write(data)

    def stream(self):
        x, dice, at = self.x, random.Random(1), 0
        x.streams.append((self.path, dict(self.headers)))
        self.close_connection = True
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
            while at < len(x.body):
                chunk = x.body[at:at + dice.choice((1, 2, 100, 5000, 60000))]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                at += len(chunk)
            while True:
                time.sleep(0.5)
                self.wfile.write(b"2\r\n\r\n\r\n")
        except OSError:  # the client went
            pass

    def handle_request(self):
        x, url = self.x, urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if url.path == "/oauth2/token":
            x.requests.append((self.command, self.path, {}))
            assert raw == b"grant_type=client_credentials"
            return self.answer(*x.token_answer(self.headers["Authorization"]))
        body = json.loads(raw) if raw else {}
        x.requests.append((self.command, self.path, body))
        if x.script:
            done = x.script.pop(0)(self)
            if done is not None:
                return None
        if self.headers["Authorization"] != "Bearer " + x.token:
            return self.answer(401, {"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"})
        if url.path == "/2/tweets/search/stream":
            return self.stream()
        if url.path != "/2/tweets/search/stream/rules":
            return self.answer(404, {"title": "Not Found", "status": 404})
        if self.command == "GET":
            return self.answer(*x.list_answer(query))
        if "add" in body:
            return self.answer(*x.add_answer(body["add"], query.get("dry_run") == ["true"]))
        return self.answer(*x.delete_answer(body["delete"]["ids"]))

    do_GET = do_POST = handle_request
