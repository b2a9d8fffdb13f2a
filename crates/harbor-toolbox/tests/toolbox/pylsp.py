#!/usr/bin/env python3
# A language server for tests. The line of a completion says how it behaves: 0 answers, 1 ends, 2 sends what is no
# message, 3 never answers, 4 refuses. In a project with a file `odd` it says odd things before it answers at all.
import json
import os
import re
import sys
import urllib.parse


def read():
    length = 0
    for line in iter(sys.stdin.buffer.readline, b"\r\n"):
        if not line:
            sys.exit(1)
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return json.loads(sys.stdin.buffer.read(length))


def write(message):
    say(dict(message, jsonrpc="2.0"))


def say(anything):
    body = json.dumps(anything).encode()
    data = b"Content-Type: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    for part in (data[:7], data[7:]):  # in pieces, as a pipe may deliver it
        sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()


def ask(method):
    """The client must answer what it does not know with null."""
    write({"id": "q", "method": method, "params": {"items": [{}]}})
    answer = read()
    assert answer["id"] == "q" and answer["result"] is None, answer


def symbols(uri):
    text = open(urllib.parse.unquote(uri[len("file://"):])).read()
    where = {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 8}}
    names = re.findall(r"class (\w+)", text)
    return [{"name": name, "kind": 5, "range": where, "selectionRange": where} for name in names]


opened = set()
while True:
    message = read()
    method, number, params = message["method"], message.get("id"), message.get("params") or {}
    uri = params.get("textDocument", {}).get("uri")
    if method == "initialize":
        assert params["rootUri"] == "file://" + params["rootPath"] == "file://" + os.getcwd(), params
        odd = os.path.exists("odd")
        for nonsense in ([], 1, "x", None, [{"id": number, "result": {}}]) if odd else ():
            say(nonsense)
        capabilities = {"completionProvider": {}, "workspaceSymbolProvider": False}
        write({"id": number, "result": True if odd else {"capabilities": capabilities}})
    elif method == "initialized":
        pass
    elif method == "textDocument/didOpen":
        assert uri not in opened and params["textDocument"]["text"].startswith("class"), params
        opened.add(uri)
    elif method == "textDocument/didClose":
        opened.remove(uri)
    elif method == "textDocument/documentSymbol":
        ask("workspace/configuration")  # the client waits for the symbols, so that nothing else comes between
        write({"method": "window/logMessage", "params": {"type": 3, "message": "x" * 100000}})
        write({"id": number, "result": symbols(uri)})
    elif method == "textDocument/completion":
        line = params["position"]["line"]
        if line == 0:
            write({"id": number, "result": [{"label": "run", "kind": 2, "data": 1}]})
        elif line == 1:
            os._exit(3)
        elif line == 2:
            sys.stdout.buffer.write(b"Traceback (most recent call last):\r\n\r\n")
            sys.stdout.buffer.flush()
        elif line == 4:
            write({"id": number, "error": {"code": -1, "message": "no such line"}})
    elif method == "shutdown":
        write({"id": number, "result": None})
    elif method == "exit":
        sys.exit(0)
    else:
        assert number is None, message
