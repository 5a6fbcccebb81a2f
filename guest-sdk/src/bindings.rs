//! What `wit-bindgen` makes of the contract. On targets other than wasm the
//! imports are there by type only, and [`crate::host`] never calls them.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::all)]

wit_bindgen::generate!({
    world: "component",
    path: "../wit",
});

#[cfg(target_arch = "wasm32")]
pub(crate) use export as export_component;
