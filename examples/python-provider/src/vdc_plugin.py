"""The wire protocol of VDC-OS on standard input and output (docs/wire-protocol.md), for plugins whose operations answer at once."""
import json
import sys

PROTOCOL = 1
MAX_MESSAGE = 8 * 1024 * 1024
RETRYABLE = ("ABORTED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNAVAILABLE")


class VdcError(Exception):
    """An error with a canonical code. `more` may have reason, details and blockers."""

    def __init__(self, code, message, **more):
        super().__init__(message)
        retryable = code in RETRYABLE
        self.data = {"code": code, "reason": "VDC_" + code, "message": message, "retryable": retryable, **more}


def read_message(stream):
    """The next message, or None at the end. Raises ValueError for anything else: what follows can't be told apart then."""
    length, header = None, b""
    while (line := stream.readline(256)) not in (b"", b"\r\n"):
        header += line
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and line.endswith(b"\r\n") and value.strip().isdigit():
            length = int(value)
        if len(header) > 256:
            raise ValueError("a header is too long")
    if line == b"" and header == b"":
        return None
    if length is None or length > MAX_MESSAGE:
        raise ValueError("a header has no length, or one that is too large")
    body = stream.read(length)
    try:
        message = json.loads(body) if len(body) == length else None
    except RecursionError:
        message = None
    if not isinstance(message, dict):
        raise ValueError("a message is cut short, too deep, or no object")
    return message


def write_message(stream, message):
    body = json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")).encode()
    stream.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    stream.flush()


def serve(start):
    """Answers until the other side is gone. `start(config)` returns providers by (point, version, name), each with its `operations`:
    functions of the input, by their names on the wire."""
    out, sys.stdout = sys.stdout.buffer, sys.stderr  # Only messages may go to standard output: what is printed becomes a log.
    providers = {}

    def info():
        return [
            {"point": point, "version": version, "name": name, "facets": sorted({o.split(".")[0] for o in p.operations if "." in o})}
            for (point, version, name), p in providers.items()
        ]

    def answer(method, params):
        if method == "hello":
            return {"protocol": PROTOCOL, "providers": info()}
        if method == "start":
            providers.update(start(params[0]["config"]))
            return info()
        if method == "list":
            return info()
        if method in ("ping", "stop"):
            return None
        if method != "c":
            raise VdcError("UNIMPLEMENTED", f"there is no method '{method}' here")
        _, point, name, operation, given = params[:5]
        for (its_point, _, its_name), provider in providers.items():
            if (its_point, its_name) == (point, name) and operation in provider.operations:
                return provider.operations[operation](given)
        raise VdcError("UNIMPLEMENTED", f"provider '{name}' of '{point}' has no operation '{operation}'")

    while True:
        try:
            message = read_message(sys.stdin.buffer)
        except ValueError as error:
            sys.exit(f"the other side does not speak the wire protocol: {error}")
        if message is None:
            return
        if "id" not in message or "method" not in message:
            continue  # A notification: a call that is cancelled has been answered already, or is answered all the same.
        reply = {"id": message["id"]}
        try:
            reply["result"] = answer(message["method"], message.get("params", []))
        except VdcError as error:
            reply["error"] = {"code": -32000, "message": str(error), "data": error.data}
        except Exception as error:  # Whatever else goes wrong is this call's error, and no end of the process.
            data = VdcError("INTERNAL", f"{type(error).__name__}: {error}").data
            reply["error"] = {"code": -32000, "message": data["message"], "data": data}
        write_message(out, reply)
