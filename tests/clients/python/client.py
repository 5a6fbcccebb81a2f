"""The client of Durable Functions for Python, outside of Azure, and what a
script of checks needs."""

import asyncio
import json
import sys
import time
import traceback

import azure.durable_functions as df
from azure.durable_functions.models.utils import http_utils

if len(sys.argv) < 2:
    sys.exit("the address of a host is needed, such as http://127.0.0.1:7071")
HOST = sys.argv[1]
BASE = f"{HOST}/runtime/webhooks/durabletask/"


def binding() -> str:
    """What Azure hands a function that has a durable client among its inputs."""
    query = "taskHub=Shop&connection=Storage&code=none"
    instance = f"{BASE}instances/INSTANCEID"
    return json.dumps({
        "taskHubName": "Shop",
        "creationUrls": {
            "createNewInstancePostUri":
                f"{BASE}orchestrators/{{functionName}}[/{{instanceId}}]?{query}",
        },
        "managementUrls": {
            "id": "INSTANCEID",
            "statusQueryGetUri": f"{instance}?{query}",
            "sendEventPostUri": f"{instance}/raiseEvent/{{eventName}}?{query}",
            "terminatePostUri": f"{instance}/terminate?reason={{text}}&{query}",
            "rewindPostUri": f"{instance}/rewind?reason={{text}}&{query}",
            "purgeHistoryDeleteUri": f"{instance}?{query}",
            "restartPostUri": f"{instance}/restart?{query}",
            "suspendPostUri": f"{instance}/suspend?reason={{text}}&{query}",
            "resumePostUri": f"{instance}/resume?reason={{text}}&{query}",
        },
        "baseUrl": BASE.rstrip("/"),
        "requiredQueryStringParameters": query,
        "rpcBaseUrl": BASE,
    })


durable = df.DurableOrchestrationClient(binding())

ENDS = ("Completed", "Failed", "Canceled", "Terminated")
CHECKS = []


def check(name):
    """Marks a check, under the name it is told by."""
    def keep(body):
        CHECKS.append((name, body))
        return body
    return keep


async def until(instance_id, good):
    """Waits for a status that will do, at most for a minute."""
    end = time.monotonic() + 60
    while True:
        status = await durable.get_status(instance_id)
        if status and good(status.runtime_status.value):
            return status
        assert time.monotonic() < end, f"{instance_id} is still {status.runtime_status}"
        await asyncio.sleep(0.01)


async def ended(instance_id):
    """Waits for the end of an instance."""
    return await until(instance_id, lambda status: status in ENDS)


async def state_of(entity_id, good):
    """Waits until the state of an entity will do, at most for a minute."""
    end = time.monotonic() + 60
    while True:
        read = await durable.read_entity_state(entity_id)
        if read.entity_exists and good(read.entity_state):
            return read.entity_state
        assert time.monotonic() < end, f"{entity_id} is still {read.entity_state}"
        await asyncio.sleep(0.01)


async def until_gone(entity_id):
    """Waits until an entity has no state, at most for a minute."""
    end = time.monotonic() + 60
    while (await durable.read_entity_state(entity_id)).entity_exists:
        assert time.monotonic() < end, f"{entity_id} is still there"
        await asyncio.sleep(0.01)


async def refused(call, words):
    """What is raised by a call, which has these words in it."""
    try:
        await call
    except Exception as error:  # The client raises nothing more special.
        assert words in str(error), f"{words!r} is not in {error!r}"
    else:
        raise AssertionError(f"it was not refused: {words}")


def run():
    """Runs all checks, and ends with 1 where one fails."""
    async def all_of_them():
        failed = False
        for name, body in CHECKS:
            try:
                await body()
                print(f"ok {name}", flush=True)
            except Exception:
                failed = True
                print(f"FAILED {name}: {traceback.format_exc()}", flush=True)
        await http_utils._close_session()
        return failed

    sys.exit(1 if asyncio.run(all_of_them()) else 0)
