"""What schemathesis is told about this host beyond its document."""

import json

import jsonschema_rs
import schemathesis

schemathesis.serializer.alias("application/wasm", "application/octet-stream")

# A stream's schemas, for `journal_lines_are_described`.
STREAM = {}


def without(schema, value):
    """The schema, where it allows one of several values, without this one."""
    if isinstance(schema, dict):
        return {key: without(part, value) for key, part in schema.items()}
    if isinstance(schema, list):
        unwanted = lambda part: part == value or isinstance(part, dict) and part.get("const") == value
        return [without(part, value) for part in schema if not unwanted(part)]
    return schema


def one_type_each(schema):
    """The same schema without lists of types, at which schemathesis 4.32
    breaks."""
    if isinstance(schema, list):
        return [one_type_each(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: one_type_each(part) for key, part in schema.items()}
    if isinstance(schema.get("type"), list):
        types = [{"type": name} for name in schema.pop("type")]
        schema.setdefault("allOf", []).append({"anyOf": types})
    return schema


@schemathesis.hook
def before_load_schema(context, raw_schema):
    # This stream never ends; `live.rs` reads it.
    del raw_schema["paths"]["/api/events"]
    components = raw_schema["components"]["schemas"]
    for name, schema in list(components.items()):
        # In the document an answer may have more keys, for the sake of later
        # versions. Here it may not: each key that comes has to be described.
        # What functions say of themselves, under `Function.input`, is theirs.
        if "." not in name and isinstance(schema, dict) and "properties" in schema:
            schema.setdefault("additionalProperties", False)
        # An order may ask for an activity that hangs. It does, for 10 s.
        if "." in name:
            components[name] = one_type_each(without(schema, "hang"))
    for name in ("JournalLine", "JournalEnd"):
        whole = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": components}}
        STREAM[name] = jsonschema_rs.validator_for(whole)
    for item in raw_schema["paths"].values():
        for operation in item.values():
            for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
                # What OpenAPI 3.1 leaves out, and generating takes.
                if media_type == "application/wasm":
                    content["schema"] = {"type": "string", "format": "binary"}
            for response in operation["responses"].values():
                # OpenAPI 3.1 describes the text as a whole, and schemathesis
                # compares each event.
                if "text/event-stream" in response.get("content", {}):
                    response["content"]["text/event-stream"]["schema"] = {
                        "type": "object",
                        "required": ["data"],
                        "properties": {"data": {"type": "string"}},
                    }


def media_type(response):
    return (response.headers.get("content-type") or [""])[0].split(";")[0]


@schemathesis.check
def server_errors_are_a_functions(ctx, response, case):
    """A status of 500 or more tells of a function that failed, and of nothing
    in the host. (In the place of `not_a_server_error` for those operations
    that tell of it so.)"""
    if response.status_code < 500:
        return
    body = response.json()
    of_instance = response.status_code == 500 and body.get("runtimeStatus") == "Failed"
    of_attempt = response.status_code in (502, 503, 504) and "failure" in body
    assert of_instance or of_attempt, f"the host answers {response.status_code}: {body}"


@schemathesis.check
def errors_say_what_is_wrong(ctx, response, case):
    """A refusal has a sentence for people under both keys, and says nothing of
    the host's insides."""
    if response.status_code < 400 or media_type(response) != "application/json":
        return
    body = response.json()
    if "ExceptionType" not in body:
        return
    message = body["Message"]
    assert message == body["ExceptionMessage"], "the two messages differ"
    assert message and message[-1] in ".!?\"'", f"no sentence: {message!r}"
    for inside in ("panicked", "src/", ".rs:", "sqlite"):
        assert inside not in message, f"the message tells of the host's insides: {message!r}"


@schemathesis.check
def journal_lines_are_described(ctx, response, case):
    """Each server-sent event is a line of a journal, or its end."""
    if media_type(response) != "text/event-stream":
        return
    # What stands after the last empty line may have been cut off.
    for block in response.text.split("\n\n")[:-1]:
        lines = block.split("\n")
        data = "\n".join(line[6:] for line in lines if line.startswith("data: "))
        if data:
            name = "JournalEnd" if "event: end" in lines else "JournalLine"
            errors = [error.message for error in STREAM[name].iter_errors(json.loads(data))]
            assert not errors, f"no {name}: {'; '.join(errors)}: {data}"
