"""Lists: pages, filters, and what comes back is usable (contract, control plane §5.14)."""

import uuid

import pytest
from daytona import (
    CreateSandboxFromSnapshotParams,
    ListSandboxesQuery,
    SandboxListSortDirection,
    SandboxListSortField,
    SandboxState,
)


@pytest.fixture(scope="module")
def batch(daytona):
    """Three sandboxes with one label in common; the first is stopped."""
    word = f"list-{uuid.uuid4().hex[:12]}"
    made = [
        daytona.create(
            CreateSandboxFromSnapshotParams(
                name=f"{word}-{number}", labels={"batch": word, "number": str(number)}
            )
        )
        for number in range(3)
    ]
    made[0].stop()
    yield word, made
    for sandbox in made:
        sandbox.delete()


def ids(daytona, **query):
    return [sandbox.id for sandbox in daytona.list(ListSandboxesQuery(**query))]


@pytest.mark.parametrize("limit", [1, 2, 3, None])
def test_all_pages_are_walked(daytona, batch, limit):
    word, made = batch
    found = ids(daytona, labels={"batch": word}, limit=limit)
    assert sorted(found) == sorted(sandbox.id for sandbox in made)


def test_every_label_must_match(daytona, batch):
    word, made = batch
    assert ids(daytona, labels={"batch": word, "number": "1"}) == [made[1].id]
    assert ids(daytona, labels={"batch": word, "number": "7"}) == []


def test_filters_and_order(daytona, batch):
    word, made = batch
    by_name = {"sort": SandboxListSortField.NAME, "order": SandboxListSortDirection.ASC}
    assert ids(daytona, name=word.upper(), limit=2, **by_name) == [sandbox.id for sandbox in made]
    assert ids(daytona, name=word, states=[SandboxState.STARTED], **by_name) == [made[1].id, made[2].id]
    assert ids(daytona, name=word, states=[SandboxState.STOPPED]) == [made[0].id]
    assert ids(daytona, id=made[2].id) == [made[2].id]


def test_a_listed_sandbox_is_usable(daytona, batch):
    word, made = batch
    (listed,) = daytona.list(ListSandboxesQuery(labels={"batch": word, "number": "2"}))
    assert listed.name == made[2].name
    assert listed.labels["batch"] == word
    assert listed.process.exec("echo listed").result == "listed\n"


def test_pages_hold_while_the_list_changes(daytona, batch, create):
    word, made = batch
    query = ListSandboxesQuery(labels={"batch": word}, limit=1, sort=SandboxListSortField.CREATEDAT)
    pages = iter(daytona.list(query))
    found = [next(pages).id]
    create(labels={"batch": word})
    found += [sandbox.id for sandbox in pages]
    assert len(found) == len(set(found))
    assert {sandbox.id for sandbox in made} <= set(found)


def test_the_whole_list_can_be_walked_without_a_query(daytona, sandbox):
    assert sandbox.id in [listed.id for listed in daytona.list()]
