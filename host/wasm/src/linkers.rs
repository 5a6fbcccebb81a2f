//! What guests may import: the contract, and all of WASI 0.2 with
//! `wasi:http`; for activities that want it WASI 0.3 beside it.
//!
//! Every import is there for everybody and what was not granted is empty or
//! denied, because toolchains import what their programs never use.

use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker};

use crate::bindings::{invocation, orchestration};
use crate::files;
use crate::guest::Guest;
use crate::virtual_wasi;

/// The WASI packages on offer, for messages.
pub(crate) const OFFERED: &str =
    "wasi:cli, wasi:clocks, wasi:filesystem, wasi:http, wasi:io, wasi:random and wasi:sockets";

fn common(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    orchestration::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    invocation::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    crate::bindings::types::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    Ok(linker)
}

pub(crate) fn for_orchestrators(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = common(engine)?;
    virtual_wasi::add_to_linker(&mut linker)?;
    Ok(linker)
}

pub(crate) fn for_activities(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = common(engine)?;
    files::add_to_linker(&mut linker)?;
    Ok(linker)
}

pub(crate) fn for_concurrent_activities(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = for_activities(engine)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    Ok(linker)
}
