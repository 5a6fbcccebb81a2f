//! The host: what is deployed, how it is, and what it can do.

use crate::auth::{Access, MANAGE, USE};
use crate::openapi::operation::{Operation, get, post, put};
use crate::openapi::{self, schema};
use crate::{admin, clock, health, log, metrics};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/admin/functions", MANAGE, "functions", admin::functions)
            .summary("Every function that is deployed, by name.")
            .json(200, schema::list(schema::of("Function")), "The functions."),
        post("/admin/functions/{name}", MANAGE, "invoke", admin::invoke)
            .summary("Runs one activity by itself.")
            .path("name", schema::name(), "The activity.")
            .body_or_none(schema::any())
            .json(200, schema::of("Invoked"), "Its result.")
            .refusal(404, "There is no such activity.")
            .json(422, schema::of("Invoked"), "It returned a failure.")
            .json(502, schema::of("Invoked"), "It broke.")
            .json(503, schema::either(["Invoked", "Error"]), "It could not begin.")
            .json(504, schema::of("Invoked"), "It took too long."),
        get("/admin/components", MANAGE, "components", admin::components)
            .summary("Every component that is deployed, by name.")
            .json(200, schema::list(schema::of("Component")), "The components."),
        put("/admin/components/{name}", MANAGE, "deploy", admin::deploy)
            .summary("Deploys a component.")
            .path("name", schema::name(), "What it is called; its file, without `.wasm`.")
            .bytes("application/wasm")
            .json(200, schema::of("Component"), "It takes the place of one of this name.")
            .json(201, schema::of("Component"), "It is new."),
        get("/admin/stats", MANAGE, "stats", admin::stats)
            .summary("Counters since the host's start.")
            .json(200, schema::of("Stats"), "The counters."),
        get("/admin/log", MANAGE, "logLevels", log::get)
            .summary("How much is logged.")
            .json(200, schema::of("LogLevels"), "The levels.")
            .refusal(409, "The log is not the host's own."),
        put("/admin/log", MANAGE, "setLogLevels", log::set)
            .summary("Changes how much is logged, until the host ends.")
            .body(schema::log_levels())
            .json(200, schema::of("LogLevels"), "The levels from now on.")
            .refusal(409, "The log is not the host's own."),
        get("/metrics", MANAGE, "metrics", metrics::serve)
            .summary("What is counted and measured, as OpenMetrics or as plain text.")
            .header("Accept", schema::text(), "Plain text, if it has that and not OpenMetrics.")
            .text(200, metrics::MEDIA_TYPE, "The metrics.")
            .or_text(metrics::PLAIN),
        post("/admin/clock/skip", MANAGE, "skipClock", clock::skip)
            .summary("Skips the clock of the emulator ahead.")
            .query("by", schema::more_seconds(), "By so much; else to what is next.")
            .json(200, schema::of("Skipped"), "What time it was, what time it is, and of what.")
            .refusal(404, "Nothing waits for a time.")
            .refusal(409, "The host runs by the machine's clock."),
        get("/healthz", Access::Open, "alive", health::alive)
            .summary("Whether the process answers.")
            .json(200, schema::of("Health"), "It does."),
        get("/readyz", Access::Open, "ready", health::ready)
            .summary("Whether the host can take work.")
            .json(200, schema::of("Health"), "It can.")
            .json(503, schema::of("Health"), "It cannot, and why."),
        get("/openapi.json", USE, "openapi", openapi::serve).summary("This document.").json(
            200,
            schema::object(),
            "OpenAPI 3.1, with what is deployed now.",
        ),
    ]
}
