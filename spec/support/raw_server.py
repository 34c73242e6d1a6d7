"""Servers that a client must survive, on ports of their own: see raw_server.lua.

Prints a line NAME=PORT for each of them and PID=..., then goes on in the background until it gets a
TERM, at the latest for the given number of seconds. Arguments: SECONDS CERTIFICATE KEY.
"""
import os
import signal
import socket
import ssl
import struct
import sys
import threading
import time

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            raise OSError("the client is gone")
        data += part
    return data


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def dripping(connection):
    """A reply of which a byte comes every 50 ms, without end."""
    read_request(connection)
    connection.sendall(OK + b"\r\n{")
    while True:
        connection.sendall(b" ")
        time.sleep(0.05)


def dripping_head(connection):
    read_request(connection)
    connection.sendall(OK + b"X-More: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def endless_head(connection):
    read_request(connection)
    connection.sendall(OK)
    while True:
        connection.sendall(b"X-More: " + b"x" * 1000 + b"\r\n")


def endless_body(connection):
    read_request(connection)
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")


def resetting(connection):
    """A good reply on a connection that should be kept, and is then reset."""
    read_request(connection)
    connection.sendall(OK + b"Content-Length: 2\r\n\r\n{}")
    time.sleep(0.02)
    reset(connection)


def resetting_after(sent):
    """A connection that is reset when so much of a reply was sent."""
    def serve(connection):
        read_request(connection)
        connection.sendall(sent)
        time.sleep(0.02)
        reset(connection)
    return serve


def interim_flood(connection):
    """Replies that say to go on, and no other."""
    read_request(connection)
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def goaway(connection):
    """What an HTTP/2 server says that will not go on: SETTINGS and GOAWAY frames."""
    read_request(connection)
    connection.sendall(b"\0\0\0\4\0\0\0\0\0" + b"\0\0\x08\7\0\0\0\0\0" + b"\0" * 7 + b"\x0d")
    connection.close()


def cutting(connection):
    """A body without a length, then the end of the connection without TLS's goodbye."""
    read_request(connection)
    connection.sendall(OK + b"Connection: close\r\n\r\n{\"taskId\":")
    socket.socket(fileno=connection.detach()).close()


def refusing_proxy(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    connection.close()


def relay(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def tunnelling_proxy(connection):
    """For user:pa ss alone; every host is this one. Each tunnel is one connection."""
    request = read_request(connection)
    if b"\r\nProxy-Authorization: Basic dXNlcjpwYSBzcw==\r\n" not in request:
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        return
    port = int(request.split(b" ")[1].rsplit(b":", 1)[1])
    upstream = socket.create_connection(("127.0.0.1", port))
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    back = threading.Thread(target=relay, args=(upstream, connection), daemon=True)
    back.start()
    relay(connection, upstream)
    back.join()


def handle(connection, serve, context):
    try:
        if context:
            connection = context.wrap_socket(connection, server_side=True)
        serve(connection)
    except OSError:
        pass
    connection.close()


def accept(listener, serve, context):
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=handle, args=(connection, serve, context), daemon=True).start()


def listen(backlog=64):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(backlog)
    return listener


def fill(listener):
    """Linux drops the SYNs to a listener whose queue is full; nobody accepts what is in it."""
    waiting = []
    for _ in range(8):
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(listener.getsockname())
        waiting.append(connection)
    return waiting


def main():
    seconds, certificate, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    servers = [
        ("dripping", dripping, None), ("dripping_head", dripping_head, None),
        ("endless_head", endless_head, None), ("endless_body", endless_body, None),
        ("resetting_before_head", resetting_after(b""), None), ("resetting_in_head", resetting_after(OK), None),
        ("resetting_after_head", resetting_after(OK + b"Content-Length: 20\r\n\r\n"), None),
        ("resetting_in_body", resetting_after(OK + b"Content-Length: 20\r\n\r\n{\"taskId\""), None),
        ("interim_flood", interim_flood, None), ("goaway", goaway, None),
        ("resetting", resetting, tls), ("cutting", cutting, tls), ("refusing_proxy", refusing_proxy, None),
        ("tunnelling_proxy", tunnelling_proxy, None),
    ]
    listeners = {name: listen() for name, _, _ in servers}
    listeners["silent"] = listen()  # connects, and never says a word
    listeners["full"] = listen(0)

    if os.fork():
        os._exit(0)
    os.setsid()
    signal.alarm(seconds)
    lines = ["%s=%d" % (name, listener.getsockname()[1]) for name, listener in listeners.items()]
    waiting = fill(listeners["full"])
    for name, serve, context in servers:
        threading.Thread(target=accept, args=(listeners[name], serve, context), daemon=True).start()
    print("\n".join(lines + ["PID=%d" % os.getpid()]), flush=True)
    for descriptor in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    while waiting:
        signal.pause()


main()
