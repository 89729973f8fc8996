"""A connection that is cut: `python -m tests.builders.cutting ENDPOINT BYTES` prints its address.

Passes on what comes until so many bytes went to the endpoint; then every connection is cut, and no
other is taken.
"""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import suppress


def main(endpoint: str, received: int) -> None:
    """Pass connections on until killed."""
    host, _, port = endpoint.removeprefix("http://").partition(":")
    sent = 0

    def pump(source: socket.socket, sink: socket.socket, *, counted: bool) -> None:
        nonlocal sent
        with suppress(OSError):
            while data := source.recv(4096):
                sent += len(data) if counted else 0
                if sent > received:
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):  # a close alone would not wake who waits for it
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        print(f"http://127.0.0.1:{server.getsockname()[1]}", flush=True)
        while True:
            client, _ = server.accept()
            if sent > received:
                client.close()
                continue
            store = socket.create_connection((host, int(port)))
            for source, sink, counted in ((client, store, True), (store, client, False)):
                more = {"counted": counted}
                threading.Thread(target=pump, args=(source, sink), kwargs=more, daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
