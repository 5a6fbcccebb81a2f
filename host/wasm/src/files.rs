//! What an activity writes to a file is written when it says so.
//!
//! Toolchains make a write of WASI 0.2's calls that do not wait: wasmtime hands
//! each such write to another thread, where the guest then waits for it. That
//! made sagas whose activities write files a good deal slower, and all other
//! operations on files run where the guest runs anyway.

use futures_util::FutureExt;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::filesystem::WasiFilesystemView;
use wasmtime_wasi::p2::bindings::filesystem::types::{Descriptor, ErrorCode, Host, HostDescriptor};
use wasmtime_wasi::p2::{
    DynOutputStream, FsResult, OutputStream, Pollable, StreamError, StreamResult,
};

use crate::guest::Guest;

/// The interface as wasmtime-wasi names it; guests of every 0.2 find it under
/// their own version.
const TYPES: &str = "wasi:filesystem/types@0.2.12";

type Opened = Result<Resource<DynOutputStream>, ErrorCode>;

/// Puts streams that write at once in the place of wasmtime's.
pub(crate) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap(
        "[method]descriptor.write-via-stream",
        |mut store, (file, offset): (Resource<Descriptor>, u64)| {
            let guest: &mut Guest = store.data_mut();
            let stream = guest.filesystem().write_via_stream(file, offset);
            Ok((at_once(guest, stream)?,))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.append-via-stream",
        |mut store, (file,): (Resource<Descriptor>,)| {
            let guest: &mut Guest = store.data_mut();
            let stream = guest.filesystem().append_via_stream(file);
            Ok((at_once(guest, stream)?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

fn at_once(
    guest: &mut Guest,
    stream: FsResult<Resource<DynOutputStream>>,
) -> wasmtime::Result<Opened> {
    match stream {
        Ok(stream) => {
            let stream = guest.table.delete(stream)?;
            let stream: DynOutputStream = Box::new(AtOnce(stream));
            Ok(Ok(guest.table.push(stream)?))
        }
        Err(error) => guest.filesystem().convert_error_code(error).map(Err),
    }
}

/// A stream to a file that is written to where the guest runs.
struct AtOnce(DynOutputStream);

#[async_trait]
impl Pollable for AtOnce {
    async fn ready(&mut self) {
        self.0.ready().await;
    }
}

#[async_trait]
impl OutputStream for AtOnce {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        // With `allow_blocking_current_thread` it is over when it returns.
        let written = self.0.blocking_write_and_flush(bytes).now_or_never();
        written.unwrap_or_else(|| Err(StreamError::trap("the file was not written at once")))
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.0.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.0.check_write()
    }

    async fn blocking_write_and_flush(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.0.blocking_write_and_flush(bytes).await
    }

    async fn cancel(&mut self) {
        self.0.cancel().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wasmtime_names_the_interface_as_we_do() {
        let engine = wasmtime::Engine::default();
        let mut linker = Linker::<Guest>::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("it links");
        let mut types = linker.instance(TYPES).expect("the linker is a map");
        // What is there already cannot be put there again without shadowing.
        for name in ["[method]descriptor.write-via-stream", "[method]descriptor.append-via-stream"]
        {
            let again = types.func_wrap(name, |_, ()| Ok(()));
            assert!(again.is_err(), "{TYPES} has no {name} to take the place of");
        }
    }
}
