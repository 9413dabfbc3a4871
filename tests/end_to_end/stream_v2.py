"""A server of the v2 filtered stream for tests: any lines, in chunks that respect nothing, then keep-alives."""
import random
import socket
import ssl
import threading


class StreamV2:
    """Streams `lines` (bytes without line ends) to each connection from the beginning; `tls`: (certificate, key) files."""

    def __init__(self, lines, tls=None, seed=1):
        self.body = b"".join(line + b"\r\n" for line in lines)
        self.seed = seed
        self.requests = []  # heads
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)
        self.base = f"{'https' if tls else 'http'}://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection:
                self.stream(connection)
        except OSError:  # the client went, or did not trust the certificate
            connection.close()

    def stream(self, connection):
        head = b""
        while b"\r\n\r\n" not in head:
            more = connection.recv(65536)
            if not more:
                return
            head += more
        self.requests.append(head.decode())
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        dice, at = random.Random(self.seed), 0
        while at < len(self.body):
            size = dice.choice((1, 2, 100, 5000, 60000))
            chunk = self.body[at:at + size]
            connection.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            at += size
        connection.settimeout(5)
        while True:
            try:
                if not connection.recv(1):
                    return
            except TimeoutError:
                connection.sendall(b"2\r\n\r\n\r\n")
