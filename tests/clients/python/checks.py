"""Drives a host through the client of Durable Functions for Python:

    PYTHONPATH=… python3 checks.py http://127.0.0.1:7071
"""

import json
from datetime import datetime, timedelta, timezone

import aiohttp
import azure.functions as func
from azure.durable_functions import OrchestrationRuntimeStatus

from client import BASE, HOST, check, durable, ended, refused, run, until

WAITING = {"names": ["Go"]}
LONG_AGO = datetime(1, 1, 1)


@check("start with an id and an input, which arrives encoded twice")
async def _():
    assert await durable.start_new("FanOut", "p-start", [3, 4]) == "p-start"
    status = await ended("p-start")
    assert (status.name, status.instance_id) == ("FanOut", "p-start")
    assert status.runtime_status == OrchestrationRuntimeStatus.Completed
    assert (status.input_, status.output) == ([3, 4], 25)
    assert status.created_time <= status.last_updated_time


@check("start without an id gives one of 32 hex digits")
async def _():
    instance_id = await durable.start_new("FanOut", client_input={"count": 3})
    assert len(instance_id) == 32 and int(instance_id, 16) >= 0, instance_id
    assert (await ended(instance_id)).output == 14


@check("start without an input")
async def _():
    status = await ended(await durable.start_new("TestOrchNothing"))
    assert (status.runtime_status.value, status.input_) == ("Completed", None)


@check("every kind of input arrives as it is meant")
async def _():
    for value in [7, 1.5, True, False, "", "text", "7", '{"a": 1}', "ä 🦀", [], [1, "2"],
                  {"orderId": 7, "nested": {"text": '"quoted"'}}]:
        status = await ended(await durable.start_new("TestOrchEcho", None, value))
        assert status.output == value and type(status.output) is type(value), (value, status.output)
        if isinstance(value, str):
            status = await ended(await durable.start_new("TestOrchText", None, value))
            assert status.output == value, (value, status.output)


@check("a plain JSON string from somebody else stays one")
async def _():
    async with aiohttp.ClientSession(headers={"user-agent": "somebody/1"}) as session:
        for value in ["7", '{"a": 1}']:
            url = f"{BASE}orchestrators/TestOrchEcho?timeout=60&pollingInterval=1"
            async with session.post(url, json=value) as response:
                assert (response.status, await response.json()) == (200, value)
    async with aiohttp.ClientSession() as session:
        url = f"{HOST}/api/orchestrators/TestOrchEcho?timeout=60&pollingInterval=1"
        async with session.post(url, json="7") as response:
            assert (response.status, await response.json()) == (200, "7")


@check("start with a version")
async def _():
    instance_id = await durable.start_new("FanOut", client_input=[1], version="2.0 beta")
    assert (await ended(instance_id)).output == 1


@check("a start that is refused says why")
async def _():
    await refused(durable.start_new("FanOat", client_input=[1]), "no orchestrator 'FanOat'")
    await refused(durable.start_new("FanOut", client_input="x"), "does not fit")
    await refused(durable.start_new("FanOut", "@p", [1]), "instance id")
    await durable.start_new("TestWaitEvents", "p-taken", WAITING)
    await refused(durable.start_new("TestWaitEvents", "p-taken", WAITING), "p-taken")
    await durable.terminate("p-taken", "done")


@check("status with history; True is sent capitalised")
async def _():
    await durable.start_new("FanOut", "p-history", [5])
    await ended("p-history")
    assert (await durable.get_status("p-history")).history is None
    told = await durable.get_status("p-history", True, True, True)
    types = [event["EventType"] for event in told.history]
    assert types == ["ExecutionStarted", "TaskCompleted", "ExecutionCompleted"], types
    assert told.history[0]["Input"] == [5]
    assert told.history[1]["FunctionName"] == "Square"
    assert [told.history[1]["Result"], told.history[2]["Result"]] == [25, 25]
    silent = await durable.get_status("p-history", show_history=True)
    assert "Result" not in silent.history[1]


@check("the status of an id that there is not is false")
async def _():
    assert not await durable.get_status("p-none")


@check("status of one that failed")
async def _():
    status = await ended(await durable.start_new("TestOrchTrap"))
    assert status.runtime_status == OrchestrationRuntimeStatus.Failed
    assert status.output is not None


@check("one page of a list holds more than a hundred")
async def _():
    now = datetime.now(timezone.utc)
    ids = {f"p-page-{n}" for n in range(120)}
    for instance_id in ids:
        await durable.start_new("TestWaitEvents", instance_id, WAITING)
    running = [OrchestrationRuntimeStatus.Running, OrchestrationRuntimeStatus.Pending]
    found = await durable.get_status_by(now - timedelta(seconds=2), now + timedelta(hours=1),
                                        running, "p-page-")
    assert {status.instance_id for status in found} == ids
    assert ids < {status.instance_id for status in await durable.get_status_all()}
    found = await durable.get_status_by(created_time_from=LONG_AGO, instance_id_prefix="p-page-11")
    assert len(found) == 11, found
    assert await durable.get_status_by(created_time_to=datetime(1970, 1, 2)) == []
    for instance_id in ids:
        await durable.terminate(instance_id, "seen")


@check("raise events, with and without a value")
async def _():
    names = ["Go", "Zwäi te", "Go", "Nothing"]
    await durable.start_new("TestWaitEvents", "p-event", {"names": names})
    await durable.raise_event("p-event", "Zwäi te", "two")
    await durable.raise_event("p-event", "Go", {"n": 1})
    await durable.raise_event("p-event", "Go", "[3]", task_hub_name="Other", connection_name="O")
    await durable.raise_event("p-event", "Nothing")
    assert (await ended("p-event")).output == [{"n": 1}, "two", "[3]", None]
    await refused(durable.raise_event("p-event", "Go", 4), "is gone")
    await refused(durable.raise_event("p-none", "Go", 4), "No instance with ID p-none found")


@check("suspend and resume")
async def _():
    await durable.start_new("TestWaitEvents", "p-pause", WAITING)
    await durable.suspend("p-pause", "for lunch & more")
    await until("p-pause", lambda status: status == "Suspended")
    await durable.raise_event("p-pause", "Go", 1)
    assert (await durable.get_status("p-pause")).runtime_status.value == "Suspended"
    await durable.resume("p-pause", "back")
    assert (await ended("p-pause")).output == [1]
    await durable.suspend("p-pause", "late: 410 is success")
    await durable.resume("p-pause", "late: 410 is success")
    await refused(durable.suspend("p-none", "x"), "No instance with ID 'p-none' found")
    await refused(durable.resume("p-none", "x"), "No instance with ID 'p-none' found")


@check("rewind")
async def _():
    await durable.start_new("Rewindable", "p-rewind", {"dir": "/files"})
    assert (await ended("p-rewind")).runtime_status.value == "Failed"
    # What was missing: this makes the file.
    await durable.start_new("FailingChild", "p-file", {"file": "/files/b", "failures": 0})
    await ended("p-file")
    await durable.rewind("p-rewind", "the file is there")
    status = await ended("p-rewind")
    assert (status.runtime_status.value, status.output) == ("Completed", {"a": 1, "c": 1})
    await refused(durable.rewind("p-rewind", "x"), "412")
    await refused(durable.rewind("p-none", "x"), "No instance with ID p-none found")


@check("terminate")
async def _():
    await durable.start_new("TestWaitEvents", "p-end", WAITING)
    await durable.terminate("p-end", "no longer needed, ä & ö")
    status = await ended("p-end")
    assert (status.runtime_status.value, status.output) == ("Terminated", "no longer needed, ä & ö")
    await durable.terminate("p-end", "late: 410 is success")
    await refused(durable.terminate("p-none", "x"), "No instance with ID 'p-none' found")


@check("restart, under a new id and under its own")
async def _():
    await durable.start_new("FanOut", "p-restart", [2, 3])
    await ended("p-restart")
    # The client hands the whole payload through, as it does in Azure.
    payload = await durable.restart("p-restart")
    assert payload["id"] != "p-restart", payload
    assert (await ended(payload["id"])).output == 13
    payload = await durable.restart("p-restart", restart_with_new_instance_id=False)
    assert payload["id"] == "p-restart", payload
    assert (await ended("p-restart")).output == 13
    await refused(durable.restart("p-none"), "400")
    await durable.start_new("TestWaitEvents", "p-running", WAITING)
    await refused(durable.restart("p-running", restart_with_new_instance_id=False), "409")
    await durable.terminate("p-running", "done")


@check("purge one")
async def _():
    await durable.start_new("FanOut", "p-purge", [1])
    await ended("p-purge")
    assert (await durable.purge_instance_history("p-purge")).instances_deleted == 1
    assert not await durable.get_status("p-purge")
    assert (await durable.purge_instance_history("p-purge")).instances_deleted == 0
    await durable.start_new("TestWaitEvents", "p-purge", WAITING)
    await refused(durable.purge_instance_history("p-purge"), "412")
    await durable.terminate("p-purge", "done")


@check("purge by filter")
async def _():
    await ended(await durable.start_new("TestOrchTrap"))
    failed = [OrchestrationRuntimeStatus.Failed]
    before = len(await durable.get_status_by(runtime_status=failed))
    assert before > 0
    soon = datetime.now(timezone.utc) + timedelta(minutes=1)
    purged = await durable.purge_instance_history_by(LONG_AGO, soon, failed)
    assert purged.instances_deleted == before, purged.instances_deleted
    purged = await durable.purge_instance_history_by(LONG_AGO, runtime_status=failed)
    assert purged.instances_deleted == 0
    assert (await durable.get_status("p-start")).runtime_status.value == "Completed"


REQUEST = func.HttpRequest(method="POST", url=f"{HOST}/api/orders", body=b"")


@check("wait for completion")
async def _():
    async def waited(instance_id, longest):
        response = await durable.wait_for_completion_or_create_check_status_response(
            REQUEST, instance_id, longest, 20)
        return response.status_code, json.loads(response.get_body())

    assert await waited(await durable.start_new("FanOut", None, [6]), 30000) == (200, 36)
    code, status = await waited(await durable.start_new("TestOrchTrap"), 30000)
    assert (code, status["runtimeStatus"]) == (500, "Failed")
    slow = await durable.start_new("TestWaitEvents", None, WAITING)
    code, payload = await waited(slow, 40)
    assert (code, payload["id"]) == (202, slow)
    await durable.terminate(slow, "done")


@check("the links of a check-status response lead there")
async def _():
    await durable.start_new("TestWaitEvents", "p-links", WAITING)
    response = durable.create_check_status_response(REQUEST, "p-links")
    links = json.loads(response.get_body())
    assert response.status_code == 202
    assert response.headers["Location"] == links["statusQueryGetUri"]
    assert durable.create_http_management_payload("p-links") == links
    async with aiohttp.ClientSession() as session:
        async def status(url):
            async with session.get(url) as got:
                return got.status

        async def post(url, body=None):
            async with session.post(url, json=body) as got:
                return got.status, await got.json(content_type=None)

        assert await status(links["statusQueryGetUri"]) == 202
        assert await post(links["sendEventPostUri"].replace("{eventName}", "Go"), 1) == (202, None)
        await ended("p-links")
        assert await status(links["statusQueryGetUri"]) == 200
        code, ours = await post(links["restartPostUri"])
        assert code == 202 and ours.keys() == links.keys(), ours
        assert (await post(ours["terminatePostUri"].replace("{text}", "x")))[0] == 202
        async with session.delete(links["purgeHistoryDeleteUri"]) as got:
            assert (got.status, await got.json()) == (200, {"instancesDeleted": 1})


run()
