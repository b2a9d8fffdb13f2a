"""Images with files of one's own, which the client uploads before it asks for the build (contract, edges §4; control plane
§8.3 and §8.4).

The client sends them over https alone and believes no authority but those of the system: the suite runs `harbor trust`.
"""

import re
import time

import pytest
from daytona import DaytonaError, DaytonaNotFoundError, Image

BASE = "daytonaio/sandbox:v0.185.0-amd64"
QUICK = 20  # seconds for a sandbox of an image that is there
STEP = "date +%s%N | tee /home/daytona/built"


@pytest.fixture
def files(tmp_path, word):
    """A directory of one's own, with a word in it that no context has had before."""
    (tmp_path / "app" / "inner" / "deeper").mkdir(parents=True)
    (tmp_path / "app" / "empty").mkdir()
    (tmp_path / "app" / "main.txt").write_text(f"main {word}\n")
    (tmp_path / "app" / "inner" / "name with space ü.txt").write_text(f"inner {word}\n")
    (tmp_path / "app" / "inner" / "deeper" / "run").write_text(f"#!/bin/sh\necho ran {word}\n")
    (tmp_path / "app" / "inner" / "deeper" / "run").chmod(0o755)
    (tmp_path / "one.txt").write_text(f"one {word}\n")
    (tmp_path / "two.txt").write_text(f"two {word}\n")
    return tmp_path


def image(files):
    return (
        Image.base(BASE)
        .add_local_file(files / "one.txt", "/home/daytona/one.txt")
        .add_local_file(files / "two.txt", "/home/daytona/into/")
        .add_local_dir(files / "app", "/home/daytona/app")
        .run_commands(STEP)
    )


def show(sandbox, command):
    answer = sandbox.process.exec(f"cd ~ && {command}")
    assert answer.exit_code == 0, answer.result
    return answer.result


def check(sandbox, word):
    assert show(sandbox, "cat one.txt into/two.txt app/main.txt") == f"one {word}\ntwo {word}\nmain {word}\n"
    assert show(sandbox, "cat 'app/inner/name with space ü.txt'") == f"inner {word}\n"
    assert show(sandbox, "app/inner/deeper/run") == f"ran {word}\n"
    assert show(sandbox, "find app -type f | wc -l") == "3\n"


def test_a_sandbox_with_files_of_ones_own(create_of, files, word):
    lines = []
    first = create_of(image(files), on_snapshot_create_logs=lines.append)
    check(first, word)
    built = show(first, "cat built")
    assert any(built.strip() in line for line in lines), lines
    begun = time.monotonic()
    second = create_of(image(files))
    assert time.monotonic() - begun < QUICK
    check(second, word)
    # what a build would have written anew
    assert show(second, "cat built") == built
    references = {sandbox.build_info.snapshot_ref for sandbox in (first, second)}
    assert len(references) == 1 and re.fullmatch(r"daytona-[0-9a-f]{64}:daytona", references.pop()), references


def test_all_that_an_image_says(create_of, files, word):
    """On what the builder itself calls Debian, whose base the suite makes of Debian's packages."""
    (files / "requirements.txt").write_text("toolz==1.0.0\n")
    said = (
        Image.debian_slim("3.11")
        .pip_install("six==1.17.0")
        .pip_install_from_requirements(str(files / "requirements.txt"))
        .add_local_file(files / "one.txt", "/srv/one.txt")
        .add_local_dir(files / "app", "/srv/app")
        .env({"GREETING": "hello there"})
        .run_commands(f"echo made-{word} | tee /srv/made")
        .workdir("/srv")
        .entrypoint(["sh", "-c", "echo $GREETING >/tmp/began; exec sleep infinity"])
    )
    lines = []
    sandbox = create_of(said, on_snapshot_create_logs=lines.append)
    assert any(f"made-{word}" in line for line in lines), lines
    versions = show(sandbox, "python -c 'import six, toolz; print(six.__version__, toolz.__version__)'")
    assert versions == "1.17.0 1.0.0\n"
    assert show(sandbox, "cat /srv/one.txt /srv/app/main.txt /srv/made") == f"one {word}\nmain {word}\nmade-{word}\n"
    assert sandbox.process.exec("pwd; echo $GREETING; cat /tmp/began").result == "/srv\nhello there\nhello there\n"


def test_other_files_are_another_image(create_of, files, word):
    first = create_of(image(files))
    (files / "app" / "main.txt").write_text("changed\n")
    (files / "app" / "more.txt").write_text("more\n")
    second = create_of(image(files))
    assert show(first, "cat app/main.txt") == f"main {word}\n"
    assert show(second, "cat app/main.txt app/more.txt one.txt") == f"changed\nmore\none {word}\n"
    assert first.build_info.snapshot_ref != second.build_info.snapshot_ref


def test_a_snapshot_with_files_of_ones_own(daytona, snapshot, create, files, word):
    lines = []
    made = snapshot(word, image(files), on_logs=lines.append)
    assert (made.name, made.state) == (word, "active")
    sandbox = create(snapshot=word)
    check(sandbox, word)
    built = show(sandbox, "cat built")
    assert any(built.strip() in line for line in lines), lines
    # the same again by another name is not built
    again = snapshot(f"{word}-again", image(files))
    assert again.state == "active"
    assert show(create(snapshot=f"{word}-again"), "cat built") == built
    references = {daytona.snapshot.get(name).build_info.snapshot_ref for name in (word, f"{word}-again")}
    assert len(references) == 1, references


def test_a_dockerfile_that_copies(create_of, files, word):
    dockerfile = files / "Dockerfile"
    dockerfile.write_text(
        f"# COPY nothing /of/this\nFROM {BASE}\n"
        "COPY one.txt /home/daytona/copied.txt\n"
        "COPY *.txt /home/daytona/all/\n"
        "COPY --chown=daytona:daytona app /home/daytona/app\n"
        "COPY app/inner/*/run /home/daytona/run\n"
        "WORKDIR /home/daytona\nRUN cat copied.txt\n"
    )
    lines = []
    sandbox = create_of(Image.from_dockerfile(dockerfile), on_snapshot_create_logs=lines.append)
    assert any(f"one {word}" in line for line in lines), lines
    assert show(sandbox, "cat copied.txt") == f"one {word}\n"
    assert show(sandbox, "cat all/*.txt; ls all") == f"one {word}\ntwo {word}\none.txt\ntwo.txt\n"
    assert show(sandbox, "./run; stat -c %U app/main.txt") == f"ran {word}\ndaytona\n"


def test_requirements_that_are_a_file(create_of, files):
    # nothing to fetch: what is required is there
    package = files / "package"
    package.mkdir()
    (package / "greeting.py").write_text("WORD = 'hello'\n")
    requirements = files / "requirements.txt"
    requirements.write_text("pip\n# what follows is only read\n")
    wanted = Image.base(BASE).add_local_dir(package, "/opt/package").pip_install_from_requirements(str(requirements))
    sandbox = create_of(wanted)
    assert show(sandbox, "cat /.requirements.txt") == "pip\n# what follows is only read\n"
    assert show(sandbox, "cd /opt/package && python -c 'import greeting; print(greeting.WORD)'") == "hello\n"


def test_a_big_file(create_of, files):
    # in several parts
    line = b"0123456789abcdef" * 4096
    (files / "big").write_bytes(line * 200)
    sandbox = create_of(Image.base(BASE).add_local_file(files / "big", "/home/daytona/big"))
    assert show(sandbox, "stat -c %s big; head -c 16 big; echo; tail -c 16 big") == f"{200 * len(line)}\n0123456789abcdef\n0123456789abcdef"


def test_a_file_that_is_not_there(create_of, files, word):
    dockerfile = files / "Dockerfile"
    dockerfile.write_text(f"FROM {BASE}\nCOPY one.txt /home/daytona/\nRUN echo {word} && cat /home/daytona/missing\n")
    # the newest client, which an event may tell first, does not read the reason
    with pytest.raises(DaytonaError, match="(?i)build_failed|non-zero code: 1"):
        create_of(Image.from_dockerfile(dockerfile))
    with pytest.raises(DaytonaNotFoundError):
        Image.base(BASE).add_local_file(files / "missing", "/home/daytona/")
