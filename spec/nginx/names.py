"""A name server for nginx, which does not look into /etc/hosts: localhost, and every name below it, is 127.0.0.1;
there is no other name.

Prints its port and its process id, then goes on in the background until it gets a TERM, at the latest for the given
number of seconds. Argument: SECONDS.
"""
import os
import signal
import socket
import struct
import sys

TYPE_A, NO_SUCH_NAME = 1, 3


def answer(query):
    """The answer to a query with one question, which begins after a header of 12 bytes."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].lower())
        at += 1 + query[at]
    question = query[12:at + 5]
    kind, = struct.unpack("!H", query[at + 1:at + 3])
    known = labels[-1:] == [b"localhost"]
    record = b""
    if known and kind == TYPE_A:
        record = struct.pack("!HHHIH4s", 0xC00C, TYPE_A, 1, 1, 4, socket.inet_aton("127.0.0.1"))
    flags = 0x8180 | (0 if known else NO_SUCH_NAME)
    return query[:2] + struct.pack("!5H", flags, 1, 1 if record else 0, 0, 0) + question + record


def main():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    if os.fork():
        os._exit(0)
    os.setsid()
    signal.alarm(int(sys.argv[1]))
    print(server.getsockname()[1], os.getpid(), flush=True)
    for descriptor in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    while True:
        query, client = server.recvfrom(4096)
        try:
            server.sendto(answer(query), client)
        except (IndexError, struct.error):
            pass


main()
