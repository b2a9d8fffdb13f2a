"""A page that a sandbox serves does not act as harbor towards a browser that opens its link (attack 40).

In Chromium, which the suite installs. The same page on a server of its own shows that the browser would do all of it.
"""

import http.server
import json
import re
import subprocess
import tempfile
import threading
import urllib.request

from lib import attack

PORT = 3000

# what the page managed to do stands in its title
PAGE = """<!doctype html><title>did:</title><script>
document.title += " ran"
try { document.cookie = "stolen=1; path=/"; if (document.cookie.includes("stolen")) document.title += " cookie" } catch {}
try { localStorage.setItem("a", "b"); document.title += " storage" } catch {}
const done = what => { document.title += " " + what; fetch("done?" + encodeURIComponent(document.title)) }
if (navigator.serviceWorker)
  navigator.serviceWorker.register("worker.js", {scope: "/"}).then(() => done("worker"), () => done("refused"))
else done("none")
</script><img src="slow.png">"""

SERVER = f"""
import http.server, time
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/slow.png"):
            time.sleep(3)  # the page counts as loaded after it, and is looked at then
        worker = self.path.startswith("/worker.js")
        body = b"self.onfetch = () => {{}}" if worker else PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if worker else "text/html")
        self.send_header("Service-Worker-Allowed", "/")
        self.send_header("Set-Cookie", "planted=1; Path=/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
PAGE = {PAGE!r}
"""


def browse(url: str) -> str:
    """The title of the page at `url`, a few seconds after it was opened."""
    with tempfile.TemporaryDirectory() as profile:
        shown = subprocess.run(
            [
                "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--no-first-run", "--disable-background-networking", f"--user-data-dir={profile}",
                "--timeout=20000", "--dump-dom", url,
            ],
            capture_output=True, text=True, timeout=90, check=False,
        )
    found = re.search("<title>(.*?)</title>", shown.stdout)
    return found.group(1) if found else f"no page: {shown.stdout[-300:]} {shown.stderr[-500:]}"


attacker = attack.sandbox()
program = SERVER + f"http.server.ThreadingHTTPServer(('', {PORT}), Page).serve_forever()"
code, said = attacker.run(f"cat > /tmp/page.py <<'END'\n{program}\nEND\nsetsid python3 /tmp/page.py >/tmp/page.log 2>&1 &")
attack.works("serving a page in the sandbox", code == 0, said)
token = attack.api("GET", f"/sandbox/{attacker.id}/ports/{PORT}/preview-url")["token"]

namespace: dict[str, object] = {}
exec(SERVER, namespace)  # pylint: disable=exec-used # the very page, outside
own = http.server.ThreadingHTTPServer(("127.0.0.1", 0), namespace["Page"])
threading.Thread(target=own.serve_forever, daemon=True).start()
title = browse(f"http://localhost:{own.server_address[1]}/")
attack.works("the attack where nothing stands against it", "ran cookie storage" in title and "worker" in title, title)

for name, base in (("the API's port", attack.API), ("the proxy's port", attack.PROXY)):
    url = f"{base}/toolbox/{attacker.id}/proxy/{PORT}/"
    title = browse(f"{url}?DAYTONA_SANDBOX_AUTH_KEY={token}")
    attack.works(f"opening the page on {name}", title.startswith("did:"), title)
    attack.fails(f"acting as harbor on {name}", title != "did:", title)
    request = urllib.request.Request(url, headers={"X-Daytona-Preview-Token": token})
    with urllib.request.urlopen(request, timeout=10) as answer:
        attack.fails(f"planting a cookie on {name}", "Set-Cookie" in answer.headers, answer.headers)
    worker = {"X-Daytona-Preview-Token": token, "Service-Worker": "script", "Authorization": ""}
    status, text = attack.ask("GET", f"{url}worker.js", headers=worker)
    attack.fails(f"getting a service worker's script from {name}", status != 403, (status, text))
    attack.works(f"the refusal's body on {name}", json.loads(text)["statusCode"] == 403, text)
attack.finish()
