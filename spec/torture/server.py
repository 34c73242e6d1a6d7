"""A service in one file, with the same reply for the same request: what the torture needs, and quick.

Prints TORTURE_PLAIN=URL, TORTURE_TLS=URL and TORTURE_PID=..., then goes on in the background until it gets a TERM, at the latest for the given
number of seconds. Arguments: SECONDS CERTIFICATE KEY.
"""
import gzip
import json
import os
import signal
import socket
import ssl
import sys
import threading

TASK = {
    "creationDate": 1516267086.25, "lastModifiedDate": "2018-01-18T09:18:06Z", "templateBody": "{\"Resources\":{}}",
    "inputFileBucket": "factory", "inputFileKey": "batch-7.json", "roleArn": "arn:aws:iam::123456789012:role/r",
    "status": "Completed", "message": None, "successCount": 20.0, "failureCount": 1, "percentageProgress": 100,
}
LINES = "".join(json.dumps({"lineNumber": i, "errors": [{"code": "E%d" % i, "message": "m" * (i % 90)}]}) + "\n"
                for i in range(1, 41))
GONE = json.dumps({"message": "task %s does not exist" % ("x" * 60)})


def describe(name):
    if name == "gone":
        return 404, [("X-Amzn-ErrorType", "ResourceNotFoundException:"), ("X-Amzn-RequestId", "r-1"),
                     ("Date", "Thu, 18 Jan 2018 09:18:06 GMT"), ("Retry-After", "1")], GONE
    if name == "garbled":
        return 200, [], "{\"taskId\": \"garbled\", \"status\": "
    return 200, [], json.dumps(dict(TASK, taskId=name, successCount=len(name)))


def answer(method, target, own):
    """The status, headers and body for a request; `own` is the URL of this server."""
    path, _, query = target.partition("?")
    parts = path.strip("/").split("/")
    if not query and (parts[0] == "document" or parts[-1] in ("reports", "thing-registration-tasks") and method == "GET"):
        # As the service does, since the signature is of the query, too: libcurl leaves it out when it has no memory
        # for it.
        return 403, [("X-Amzn-ErrorType", "SignatureDoesNotMatchException")], "{}"
    if parts[0] == "document":
        return 200, [("Content-Encoding", "gzip")], gzip.compress(LINES.encode(), mtime=0)
    if path == "/things":
        return 200, [], json.dumps({"certificatePem": "PEM", "resourceArns": {"thing": "arn:aws:iot:thing/t"}})
    if parts[0] != "thing-registration-tasks":
        return 200, [("X-Seen", method)], "seen"
    if parts[-1] == "reports":
        links = ["%s/document/%d?X-Amz-Signature=%s" % (own, i, "0" * 64) for i in (1, 2)]
        return 200, [], json.dumps({"resourceLinks": links, "reportType": "ERRORS"})
    if parts[-1] == "cancel":
        return 200, [], "{}"
    if len(parts) == 2:
        return describe(parts[1])
    if method == "POST":
        return 200, [], "{\"taskId\": \"started\"}"
    if "nextToken=" in query:
        return 200, [], "{\"taskIds\": [\"c\"]}"
    return 200, [], "{\"taskIds\": [\"a\", \"b\"], \"nextToken\": \"t\"}"


def serve(connection, context, own):
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            connection = context.wrap_socket(connection, server_side=True)
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                data += receive(connection)
            head, _, data = data.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            lengths = [int(line[15:]) for line in lines if line.lower().startswith("content-length:")]
            while len(data) < sum(lengths):
                data += receive(connection)
            data = data[sum(lengths):]
            method, target, _ = lines[0].split(" ")
            status, headers, body = answer(method, target, own)
            body = body if isinstance(body, bytes) else body.encode()
            headers = headers + [("Content-Length", len(body))]
            connection.sendall(("HTTP/1.1 %d Reason\r\n%s\r\n" % (status, "".join(
                "%s: %s\r\n" % header for header in headers))).encode() + body)
    except (OSError, ValueError):
        pass
    connection.close()


def receive(connection):
    data = connection.recv(65536)
    if not data:
        raise OSError("the client is gone")
    return data


def accept(listener, context, own):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, context, own), daemon=True).start()


def main():
    seconds, certificate, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    listeners = []
    for context, form in ((None, "http://127.0.0.1:%d"), (tls, "https://localhost:%d")):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        listeners.append((listener, context, form % listener.getsockname()[1]))
    if os.fork():
        os._exit(0)
    os.setsid()
    signal.alarm(seconds)
    print("TORTURE_PLAIN=%s\nTORTURE_TLS=%s\nTORTURE_PID=%d" % (listeners[0][2], listeners[1][2], os.getpid()), flush=True)
    for descriptor in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    for listener, context, own in listeners:
        threading.Thread(target=accept, args=(listener, context, own), daemon=True).start()
    while True:
        signal.pause()


main()
