"""Volumes: made, shared between sandboxes and removed (contract, control plane §5.9 and §7)."""

import time

import pytest
from daytona import DaytonaNotFoundError, DaytonaValidationError, VolumeMount


@pytest.fixture
def volume(daytona, word, made):
    """Makes a volume that is gone after the test, as are the sandboxes that have it."""
    volume = daytona.volume.get(word, create=True)
    yield volume
    while made:
        try:
            daytona.get(made.pop().id).delete()
        except DaytonaNotFoundError:
            pass
    daytona.volume.delete(daytona.volume.get(word))


def refused(call, status, text):
    """Clients before 0.226 raise what was answered here, and no error of their own."""
    with pytest.raises(Exception, match=text) as error:
        call()
    assert status in (getattr(error.value, "status_code", None), getattr(error.value, "status", None))


def run(sandbox, command):
    answer = sandbox.process.exec(command)
    assert answer.exit_code == 0, answer.result
    return answer.result


def listed(daytona):
    return [volume.id for volume in daytona.volume.list()]


def test_a_volume_is_found_by_name_and_gone_when_it_is_deleted(daytona, volume, word):
    assert (volume.name, volume.state) == (word, "ready")
    assert daytona.volume.get(word).id == volume.id == daytona.volume.get(word, create=True).id
    assert volume.id in listed(daytona)
    refused(lambda: daytona.volume.create(word), 400, "already exists")
    daytona.volume.delete(volume)
    refused(lambda: daytona.volume.get(word), 404, f"Volume with name {word} not found")
    again = daytona.volume.create(word)
    assert again.id != volume.id
    deadline = time.monotonic() + 30
    while volume.id in listed(daytona):
        assert time.monotonic() < deadline, "it stays"
        time.sleep(0.1)


def test_two_sandboxes_share_a_volume(daytona, volume, create):
    one = create(volumes=[VolumeMount(volume_id=volume.id, mount_path="/home/daytona/data")])
    # by its name
    other = create(volumes=[VolumeMount(volume_id=volume.name, mount_path="/mnt/shared")])
    (mount,) = daytona.get(other.id).volumes
    assert (mount.volume_id, mount.mount_path) == (volume.id, "/mnt/shared")
    other.fs.upload_file(b"from the other\n", "/mnt/shared/file.txt")
    assert one.fs.download_file("/home/daytona/data/file.txt") == b"from the other\n"
    run(one, "mkdir data/d && mv data/file.txt data/d/f")
    # what object stores behind a mount cannot do
    posix = "cd /mnt/shared/d; ln f hard; ln -s f soft; echo more >>soft; flock f true; mkfifo pipe; cat hard; chmod 600 f"
    assert run(other, posix) == "from the other\nmore\n"
    assert daytona.volume.get(volume.name).last_used_at is not None


def test_a_volume_outlives_its_sandboxes_and_is_kept_by_them(daytona, volume, create):
    mount = [VolumeMount(volume_id=volume.id, mount_path="/mnt/v")]
    sandbox = create(volumes=mount)
    run(sandbox, "echo kept >/mnt/v/file")
    sandbox.stop()
    sandbox.start()
    assert run(sandbox, "cat /mnt/v/file") == "kept\n"
    refused(lambda: daytona.volume.delete(volume), 409, "in use")
    sandbox.delete()
    assert run(create(volumes=mount), "cat /mnt/v/file") == "kept\n"


def test_a_part_of_a_volume_is_all_that_a_sandbox_sees_of_it(daytona, volume, word, create):
    def part(of, path="/mnt/v"):
        return VolumeMount(volume_id=volume.id, mount_path=path, subpath=of)

    one = create(volumes=[part("users/one")])
    other = create(volumes=[part("users/two"), part("users/one", "/mnt/shared")])
    assert {mount.subpath for mount in other.volumes} == {"users/two", "users/one"}
    run(one, "echo mine >/mnt/v/file")
    run(other, "echo theirs >/mnt/v/file; echo more >>/mnt/shared/file")
    assert run(one, "cat /mnt/v/file; ls -A /mnt/v") == "mine\nmore\nfile\n"
    whole = create(volumes=[VolumeMount(volume_id=volume.id, mount_path="/mnt/v")])
    assert run(whole, "cd /mnt/v; find -type f | sort") == "./users/one/file\n./users/two/file\n"
    other.stop()
    other.start()
    assert run(other, "cat /mnt/v/file") == "theirs\n"
    # a link leads nobody out of the volume
    run(whole, "cd /mnt/v; mv users aside; ln -s /etc users")
    with pytest.raises(Exception, match="could not make users"):
        create(name=f"{word}-astray", volumes=[part("users")])
    daytona.get(f"{word}-astray").delete()


def test_what_cannot_be_mounted_is_refused(volume, create):
    def refuses(kind, match, **mount):
        with pytest.raises(kind, match=match):
            create(volumes=[VolumeMount(**{"volume_id": volume.id, "mount_path": "/mnt/v"} | mount)])

    refuses(DaytonaNotFoundError, "not found", volume_id="no-such-volume")
    refuses(DaytonaValidationError, "system directory", mount_path="/etc/x")
    refuses(DaytonaValidationError, "absolute", mount_path="data")
    refuses(DaytonaValidationError, "subpath", subpath="../other")
