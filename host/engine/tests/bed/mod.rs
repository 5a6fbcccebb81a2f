//! An engine on real wasm and a store that can fail.

use std::sync::Arc;
use std::time::Duration;

use sagahost_core::Json;
use sagahost_engine::{Engine, EngineConfig, StartRequest};
use sagahost_test_support::guests;
use sagahost_wasm::{Runtime, WasmConfig};

use crate::failing::Failing;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Bed {
    pub(crate) store: Arc<Failing>,
    pub(crate) engine: Engine,
}

pub(crate) async fn bed(residents: u64) -> Bed {
    bed_with(residents, EngineConfig::default()).await
}

pub(crate) async fn bed_with(residents: u64, config: EngineConfig) -> Bed {
    bed_on(Arc::new(Failing::default()), residents, config).await
}

pub(crate) async fn bed_on(store: Arc<Failing>, residents: u64, config: EngineConfig) -> Bed {
    // Shared by all tests, and kept: compiling takes seconds.
    let cache_dir = guests().join("../../compiled");
    let runtime = Runtime::new(WasmConfig { cache_dir, ..WasmConfig::default() }).unwrap();
    for name in ["guest_activities", "guest_orchestrator", "test_guests"] {
        let bytes = std::fs::read(guests().join(format!("{name}.wasm"))).unwrap();
        let candidate = runtime.check(name, bytes.into()).await.unwrap();
        runtime.activate(candidate).unwrap();
    }
    let config = EngineConfig {
        functions_dir: guests().to_owned(),
        memory_budget: residents * EngineConfig::ORCHESTRATOR_BYTES,
        ..config
    };
    let engine = Engine::start(store.clone(), runtime, config).await.unwrap();
    Bed { store, engine }
}

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}

pub(crate) fn request(name: &str, id: Option<&str>, input: &str) -> StartRequest {
    StartRequest {
        name: name.into(),
        id: id.map(Into::into),
        input: json(input),
        version: None,
        trace_parent: None,
        deadline: None,
        tags: Default::default(),
        start_at: None,
    }
}
