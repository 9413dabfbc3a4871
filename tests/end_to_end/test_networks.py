#!/usr/bin/env python3
"""What stands between a listener and its server: certificates, names, proxies, and answers that are no stream."""
import contextlib
import re
import select
import socket
import sys
import threading

import support
from support import Process, Simulator, TestClock, folder, wait_until, write_configuration


def listen(conf, **environment):
    """With nothing about networks in its environment but what is given."""
    nothing = {name: "" for name in ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                     "no_proxy", "NO_PROXY")}
    return Process("listen", "listen", "-c", conf, environment={**nothing, **environment})


def streams(process, *others):
    wait_until("the stream", lambda: "streaming from" in process.log(), alive=[process, *others])


class Proxy:
    """A forward proxy of HTTP, with CONNECT; whatever name it is asked for, it goes to one port. Keeps the first lines it was asked."""

    def __init__(self, port):
        self.port, self.asked = port, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        data = b""
        while b"\r\n\r\n" not in data:
            more = client.recv(65536)
            if not more:
                return
            data += more
        line, rest = data.split(b"\r\n", 1)
        method, target, version = line.decode().split(" ")
        self.asked.append(f"{method} {target}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)) as server, client:  # a side may reset it
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = re.sub(r"^http://[^/]*", "", target)
                server.sendall(f"{method} {path} {version}\r\n".encode() + rest)
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    piece = ready.recv(65536)
                    if not piece:
                        return
                    (server if ready is client else client).sendall(piece)


def test_a_certificate_is_believed_by_the_file_that_the_environment_names():
    certificate = folder() / "certificate.pem"
    server = Simulator("--rate", 20, "--sample-count", 300, "--tls", "--tls-write", certificate)
    conf = write_configuration("tls", server.url, keywords="coffee")
    refused = listen(conf)
    wait_until("the certificate to be refused", lambda: "certificate" in refused.log() and "next attempt in" in refused.log(), alive=[refused])
    refused.stop()
    assert "POST" not in server.log(), "no byte of a request was sent"
    for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE"):
        process = listen(conf, **{name: str(certificate)})
        streams(process, server)
        process.stop()
        assert "tls_insecure" not in process.log()
    process = listen(conf, SSL_CERT_FILE=str(folder() / "missing.pem"))
    wait_until("the missing file to be named", lambda: "missing.pem" in process.log(), alive=[process])
    process.stop()
    server.stop()


def test_failed_handshakes_are_failures_of_the_network():
    script = folder() / "handshakes.script"
    script.write_text("second 0 handshake times=3\n")
    server = Simulator("--rate", 20, "--sample-count", 300, "--tls", "--tls-write", folder() / "c.pem", "--faults", script)
    conf = write_configuration("handshakes", server.url, keywords="coffee")
    process = listen(conf, SSL_CERT_FILE=str(folder() / "c.pem"))
    streams(process, server)
    process.stop()
    assert "next attempt in 0.2 s" in process.log(), process.log()
    times = [int(t) for t in re.findall(r"wall_ms=(\d+) connection", server.log())][:4]
    waits = [b - a for a, b in zip(times, times[1:])]
    assert [w >= least for w, least in zip(waits, (249, 499, 749))] == [True] * 3, waits
    server.stop()


def test_a_name_that_is_none_is_a_failure_of_the_network_that_names_it():
    conf = write_configuration("names", "http://stream.invalid/1.1/statuses/filter.json", keywords="coffee")
    process = listen(conf)
    wait_until("the name to be missed", lambda: re.search(r"stream\.invalid.*[Rr]esolv.*next attempt in 0\.2 s", process.log()), alive=[process])
    process.stop()


def test_proxies_are_taken_from_the_environment():
    server = Simulator("--rate", 20, "--sample-count", 300, "--no-auth")
    proxy = Proxy(int(server.base.rsplit(":", 1)[1]))
    conf = write_configuration("proxy", "http://stream.invalid/1.1/statuses/filter.json", keywords="coffee")
    process = listen(conf, http_proxy=proxy.url)
    streams(process, server)
    process.stop()
    assert proxy.asked == ["POST http://stream.invalid/1.1/statuses/filter.json"], proxy.asked

    conf = write_configuration("direct", server.url, keywords="coffee")
    process = listen(conf, http_proxy="http://127.0.0.1:1", no_proxy="127.0.0.1")
    streams(process, server)
    process.stop()
    process = listen(conf, http_proxy="http://127.0.0.1:1", no_proxy="")
    wait_until("the proxy to be missed", lambda: "next attempt" in process.log(), alive=[process])
    process.stop()
    server.stop()

    server = Simulator("--rate", 20, "--sample-count", 300, "--no-auth", "--tls", "--tls-write", folder() / "proxied.pem")
    port = server.base.rsplit(":", 1)[1]
    proxy = Proxy(int(port))
    conf = write_configuration("tunnel", f"https://localhost:{port}/1.1/statuses/filter.json", keywords="coffee")
    process = listen(conf, https_proxy=proxy.url, no_proxy="", SSL_CERT_FILE=str(folder() / "proxied.pem"))
    streams(process, server)
    process.stop()
    assert proxy.asked == [f"CONNECT localhost:{port}"], "the request itself is not for the proxy's eyes"
    server.stop()


ANSWERS = [  # a line of the script, what the listener says of it, and the least wait in seconds before the next request
    ("status code=503 retry-after=17 body=html", r"answered 503 .*next attempt in 17\.0 s", 17),
    ("redirect times=2", r"answered 302: redirects are not followed.*next attempt in 5\.0 s", 5),
    ("page", r"answered 200 with a web page.*next attempt in 5\.0 s", 5),
    ("json", r"answered 200 with a document of \d+ bytes \(application/json.*next attempt in 5\.0 s", 5),
    ("status code=401 skew=-4000", r"answered 401.*clock is \d+ s ahead of.*next attempt in 5\.0 s", 5),
]


def test_answers_that_are_no_stream_climb_the_ladder_of_http_and_are_told_apart():
    clock = TestClock(50)
    for number, (line, words, least) in enumerate(ANSWERS):
        script = folder() / f"answers{number}.script"
        script.write_text(f"second 1 {line}\n")
        server = Simulator("--rate", 4, "--sample-count", 300, "--faults", script)
        conf = write_configuration(f"answers{number}", server.url, keywords="coffee")
        process = listen(conf)
        wait_until("the stream to be back", lambda s=server: s.log().count("-> 200 account") == 2, alive=[process, server])
        assert re.search(words, process.log()), (words, process.log())
        times = [int(re.search(r"wall_ms=(\d+)", entry)[1]) for entry in server.log().split("\n") if " POST " in entry][1:]
        for step, (failed, back) in enumerate(zip(times, times[1:])):
            # Each program's clock has whole milliseconds, of which 50 pass at once.
            assert back - failed >= least * 2 ** step * 1000 - 150, (line, times)
        process.stop()
        server.stop()
    clock.close()


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
