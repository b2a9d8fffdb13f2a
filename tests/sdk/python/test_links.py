"""Linked sandboxes and sizes that there is no room for (contract, control plane §5.10; design D11)."""

import time

import pytest
from daytona import CreateSandboxFromSnapshotParams, DaytonaNotFoundError, DaytonaValidationError

SERVER = "nohup python3 -m http.server --directory /etc 8123 >/dev/null 2>&1 &"

if "linked_sandbox" in CreateSandboxFromSnapshotParams.model_fields:  # since 0.226

    def test_a_linked_sandbox_is_reached_by_name_and_goes_with_its_target(daytona, create, word):
        target = create(name=word)
        helper = create(linked_sandbox=word, auto_delete_interval=0)
        target.process.exec(SERVER)
        fetch = f"curl -s --retry 5 --retry-connrefused --retry-delay 1 http://{word}:8123/hostname"
        assert helper.process.exec(fetch).result.strip() == target.id
        target.delete()
        deadline = time.monotonic() + 30
        with pytest.raises(DaytonaNotFoundError):
            while daytona.get(helper.id):
                assert time.monotonic() < deadline, "it stays"
                time.sleep(0.1)

    def test_a_linked_sandbox_is_ephemeral_and_no_target_itself(create, word):
        target = create(name=word)
        with pytest.raises(DaytonaValidationError, match="ephemeral"):
            create(linked_sandbox=word)
        helper = create(linked_sandbox=target.id, auto_delete_interval=0)
        with pytest.raises(DaytonaValidationError, match="chained"):
            create(linked_sandbox=helper.id, auto_delete_interval=0)
        with pytest.raises(DaytonaNotFoundError):
            create(linked_sandbox="nobody", auto_delete_interval=0)
