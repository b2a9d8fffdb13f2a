"""What is done against attackers takes nothing from who owns the sandbox: the promises of the default image hold."""

from lib import attack

owner = attack.sandbox()
for what, command in {
    "sudo": "sudo -n true",
    "su": "sudo -n su daytona -c true",
    "making a user with a password": "sudo -n useradd somebody && echo somebody:secret | sudo -n chpasswd",
    "unpacking and configuring a package": (
        "mkdir -p /tmp/p/DEBIAN && printf 'Package: p\\nVersion: 1\\nArchitecture: all\\nMaintainer: a\\nDescription: b\\n'"
        " >/tmp/p/DEBIAN/control && dpkg-deb --build /tmp/p /tmp/p.deb && sudo -n apt-get install -y /tmp/p.deb"
    ),
    "ping": "ping -c 1 -W 2 127.0.0.1",
    "chroot": "sudo -n chroot / true",
    "a pipe with a name": "mkfifo /tmp/pipe",
    "a locked file": "flock /tmp/locked true",
    "node": "node -e 'require(\"fs\").promises.readFile(\"/etc/hosts\").then(() => process.exit(0))'",
    "python's processes and threads": (
        "python3 -c 'import asyncio, multiprocessing; multiprocessing.Pool(2).map(abs, [1]); asyncio.run(asyncio.sleep(0))'"
    ),
    "git": "git init -q /tmp/repository && git -C /tmp/repository status",
}.items():
    code, said = owner.run(command)
    attack.works(what, code == 0, said)
attack.finish()
