"""Drives a host's entities through the client of Durable Functions for Python:

    PYTHONPATH=… python3 entities.py http://127.0.0.1:7071
"""

from azure.durable_functions import EntityId

from client import check, durable, ended, refused, run, state_of, until_gone


def account(key):
    return EntityId("Account", key)


async def logged(entity_id, count):
    return await state_of(entity_id, lambda state: len(state["log"]) == count)


@check("an entity that there is not")
async def _():
    read = await durable.read_entity_state(account("p-none"))
    assert (read.entity_exists, read.entity_state) == (False, None)


@check("signals are done in order; their inputs arrive encoded twice")
async def _():
    entity_id = account("p-order")
    for amount in [5, -2]:
        await durable.signal_entity(entity_id, "add", amount)
    await durable.signal_entity(entity_id, "set", 7, task_hub_name="Other", connection_name="O")
    state = await logged(entity_id, 3)
    assert state == {"balance": 7, "log": ["add 5", "add -2", "set 7"]}, state


@check("an operation without an input")
async def _():
    entity_id = account("p-nothing")
    await durable.signal_entity(entity_id, "fail")
    await durable.signal_entity(entity_id, "get")
    await durable.signal_entity(entity_id, "add", 1)
    assert await logged(entity_id, 1) == {"balance": 1, "log": ["add 1"]}


@check("an input that is 0, false or empty is not sent by the client")
async def _():
    # The operation is asked for with `null`, which this one does not take.
    await refused(durable.signal_entity(account("p-zero"), "add", 0), "400")
    await durable.signal_entity(account("p-zero"), "get", 0)
    read = await durable.read_entity_state(account("p-zero"))
    assert not read.entity_exists


@check("an input that is an object")
async def _():
    entity_id = EntityId("Ratings", "p-lamp")
    await durable.signal_entity(entity_id, "add", {"stars": 5, "text": '"brïght" & 🦀'})
    state = await state_of(entity_id, lambda state: state["count"] == 1)
    assert state == {"count": 1, "stars": 5, "last": '"brïght" & 🦀'}, state
    await durable.signal_entity(entity_id, "reset")
    await until_gone(entity_id)


@check("a key with other characters, which the client does not encode")
async def _():
    # What ends a path or is half an encoding it would send as it is.
    entity_id = account("p my@own ä🦀 +&=")
    await durable.signal_entity(entity_id, "add", 3)
    assert (await logged(entity_id, 1))["balance"] == 3


@check("a name in lower case, as the client spells it in ids")
async def _():
    assert str(account("p-case")) == "@account@p-case"
    await durable.signal_entity(EntityId.get_entity_id("@account@p-case"), "add", 3)
    assert (await logged(account("p-case"), 1))["balance"] == 3


@check("what is refused is an error of the client, which does not say why")
async def _():
    await refused(durable.signal_entity(account("p-bad"), "ad", 1), "400")
    await refused(durable.signal_entity(account("p-bad"), "", 1), "400")
    await refused(durable.signal_entity(account("p-bad"), "add", "x"), "400")
    await refused(durable.signal_entity(EntityId("Nobody", "p-bad"), "add", 1), "404")
    await refused(durable.read_entity_state(account("k" * 300)), "400")
    assert not (await durable.read_entity_state(account("p-bad"))).entity_exists


@check("an orchestration finds what the client did")
async def _():
    await durable.signal_entity(EntityId("Ratings", "p-bulb"), "add", {"stars": 2})
    rated = {"sku": "p-bulb", "ratings": [{"stars": 4}]}
    status = await ended(await durable.start_new("RateArticle", client_input=rated))
    assert status.output == {"count": 2, "average": 3.0, "last": None}, status.output


run()
