"""A name is what it looks like: it neither drives the terminal that shows it nor reads as another."""

import urllib.parse

from lib import attack

for what, name in {
    "a control sequence of two bytes": "a\u009b2Jb",
    "a line break beyond ASCII": "a\u0085b",
    "a delete character": "a\u007fb",
    "text turned round": "report\u202efdp.exe",
    "an isolate": "a\u2066b\u2069",
    "an invisible mark of direction": "admin\u200f",
    "an Arabic mark": "admin\u061c",
}.items():
    status, text = attack.ask("POST", f"{attack.API}/api/sandbox", {"name": name})
    attack.fails(f"a sandbox named with {what}", status != 400, (status, text))
    if status in range(200, 300):
        attack.ask("DELETE", f"{attack.API}/api/sandbox/{urllib.parse.quote(name, safe='')}")
    status, text = attack.ask("POST", f"{attack.API}/api/api-keys", {"name": name, "permissions": []})
    attack.fails(f"a key named with {what}", status != 400, (status, text))
    if status in range(200, 300):
        attack.ask("DELETE", f"{attack.API}/api/api-keys/{urllib.parse.quote(name, safe='')}")
honest = attack.sandbox(name="שלום büro 日本")
attack.works("a name in other scripts", honest.run("true")[0] == 0)
attack.finish()
