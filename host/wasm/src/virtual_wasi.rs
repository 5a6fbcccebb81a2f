//! WASI's clocks, random and HTTP as an orchestrator sees them: made of what
//! its host says, or denied, and so the same on every replay.
//!
//! Time stands still while an orchestrator computes. A sleep is over at once
//! and moves the monotonic clock by its length: language runtimes that sleep
//! until a time has come would wait for ever before a clock that stands. Who
//! wants to wait in earnest asks for a timer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::{clocks, random};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi_http::p2::bindings::http::types;
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};

use crate::capture::lock;
use crate::fiber::Waiting;
use crate::guest::{Guest, Misuse, Orchestrator, Role};

/// The most random bytes of one call; as wasmtime's own.
const MAX_RANDOM: u64 = 64 << 20;

struct Virtual;

impl HasData for Virtual {
    type Data<'a> = VirtualWasi<'a>;
}

struct VirtualWasi<'a> {
    role: &'a mut Role,
    table: &'a mut ResourceTable,
}

fn view(guest: &mut Guest) -> VirtualWasi<'_> {
    VirtualWasi { role: &mut guest.role, table: &mut guest.table }
}

/// Puts the virtual interfaces in the place of wasmtime's.
pub(crate) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    clocks::wall_clock::add_to_linker::<_, Virtual>(linker, view)?;
    clocks::monotonic_clock::add_to_linker::<_, Virtual>(linker, view)?;
    random::random::add_to_linker::<_, Virtual>(linker, view)?;
    random::insecure::add_to_linker::<_, Virtual>(linker, view)?;
    random::insecure_seed::add_to_linker::<_, Virtual>(linker, view)?;
    deny_http(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl VirtualWasi<'_> {
    fn orchestrator(&self) -> wasmtime::Result<&Orchestrator> {
        match &*self.role {
            Role::Orchestrator(orchestrator) => Ok(orchestrator),
            // The linker that has these interfaces serves orchestrators only.
            Role::Activity(_) | Role::Idle => {
                Err(Misuse("this clock is for orchestrators".to_owned()).into())
            }
        }
    }

    fn now_ms(&self) -> wasmtime::Result<u64> {
        Ok(lock(&self.orchestrator()?.host).now_ms())
    }

    fn random(&self) -> wasmtime::Result<u64> {
        Ok(lock(&self.orchestrator()?.host).random_u64())
    }

    fn bytes(&self, len: u64) -> wasmtime::Result<Vec<u8>> {
        if len > MAX_RANDOM {
            let message =
                format!("it asked for {len} random bytes at once; {MAX_RANDOM} is the most");
            return Err(Misuse(message).into());
        }
        let mut host = lock(&self.orchestrator()?.host);
        let mut bytes = Vec::with_capacity(len as usize + 8);
        while (bytes.len() as u64) < len {
            bytes.extend_from_slice(&host.random_u64().to_le_bytes());
        }
        bytes.truncate(len as usize);
        Ok(bytes)
    }

    fn monotonic(&self) -> wasmtime::Result<u64> {
        let now = self.now_ms()?.saturating_mul(1_000_000);
        let slept = self.orchestrator()?.waiting.slept.load(Ordering::Relaxed);
        Ok(now.saturating_add(slept))
    }

    fn sleep(&mut self, nanos: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let waiting = self.orchestrator()?.waiting.clone();
        let until = waiting.slept.load(Ordering::Relaxed).saturating_add(nanos);
        let sleep = self.table.push(Sleep { waiting, until })?;
        subscribe(self.table, sleep)
    }
}

/// A sleep that is over as soon as somebody waits for it.
struct Sleep {
    waiting: Arc<Waiting>,
    until: u64,
}

#[async_trait]
impl Pollable for Sleep {
    async fn ready(&mut self) {
        self.waiting.slept.fetch_max(self.until, Ordering::Relaxed);
    }
}

impl clocks::wall_clock::Host for VirtualWasi<'_> {
    fn now(&mut self) -> wasmtime::Result<clocks::wall_clock::Datetime> {
        let now = self.now_ms()?;
        Ok(clocks::wall_clock::Datetime {
            seconds: now / 1000,
            nanoseconds: (now % 1000) as u32 * 1_000_000,
        })
    }

    fn resolution(&mut self) -> wasmtime::Result<clocks::wall_clock::Datetime> {
        Ok(clocks::wall_clock::Datetime { seconds: 0, nanoseconds: 1_000_000 })
    }
}

impl clocks::monotonic_clock::Host for VirtualWasi<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.monotonic()
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1_000_000)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let now = self.monotonic()?;
        self.sleep(when.saturating_sub(now))
    }

    fn subscribe_duration(&mut self, nanos: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.sleep(nanos)
    }
}

impl random::random::Host for VirtualWasi<'_> {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random()
    }
}

impl random::insecure::Host for VirtualWasi<'_> {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random()
    }
}

impl random::insecure_seed::Host for VirtualWasi<'_> {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.random()?, self.random()?))
    }
}

/// The interface through which requests go out, as wasmtime-wasi-http names
/// it; guests of every 0.2 find it under their own version.
const OUTGOING: &str = "wasi:http/outgoing-handler@0.2.12";

type Handled = Result<Resource<HostFutureIncomingResponse>, types::ErrorCode>;

/// Denies every request, at once: an answer that came a little later would
/// come sooner on one run than on another.
fn deny_http(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut outgoing = linker.instance(OUTGOING)?;
    type Params = (Resource<HostOutgoingRequest>, Option<Resource<types::RequestOptions>>);
    outgoing.func_wrap("handle", |mut store, (request, options): Params| {
        let table = &mut store.data_mut().table;
        table.delete(request)?;
        if let Some(options) = options {
            table.delete(options)?;
        }
        Ok((Handled::Err(types::ErrorCode::HttpRequestDenied),))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wasmtime_names_the_interface_as_we_do() {
        let engine = wasmtime::Engine::default();
        let mut linker = Linker::<Guest>::new(&engine);
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).expect("it links");
        // What is there already cannot be put there again without shadowing.
        assert!(deny_http(&mut linker).is_err(), "there is no {OUTGOING} to take the place of");
    }
}
