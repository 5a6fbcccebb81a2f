//! Components on disk: as they were deployed, and as machine code.
//!
//! Machine code is executed as it is found. That it is whole is checked by a
//! digest kept beside it; that nobody but the host wrote it is up to the
//! permissions of the folder.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use crate::engines::Hosting;
use crate::error::WasmError;

/// The name of a component's bytes: their SHA-256, in hex.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether this can be the name of a component. One that comes from a journal
/// or a client is not to name another file.
pub(crate) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub(crate) fn new(folder: &Path) -> Result<Self, WasmError> {
        std::fs::create_dir_all(folder)
            .map_err(|source| WasmError::Cache { path: folder.to_owned(), source })?;
        Ok(Cache { folder: folder.to_owned() })
    }

    /// Whether there is machine code of this component for this engine.
    pub(crate) fn has(&self, hosting: &Hosting, digest: &str) -> bool {
        self.code(hosting, digest).exists()
    }

    fn code(&self, hosting: &Hosting, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.{}.cwasm", hosting.tag))
    }

    fn wasm(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.wasm"))
    }

    /// Keeps a component, so that instances which run on it can go on
    /// whatever becomes of the file it came from.
    pub(crate) fn keep(&self, digest: &str, bytes: &[u8]) -> Result<(), WasmError> {
        let path = self.wasm(digest);
        // Written whole or not at all, so its being there is enough; only a
        // damaged disk could say otherwise, and `wasm_bytes` would notice.
        if std::fs::metadata(&path).is_ok_and(|file| file.len() == bytes.len() as u64) {
            return Ok(());
        }
        self.write(&path, bytes, true).map_err(|source| WasmError::Cache { path, source })
    }

    /// A component as it was deployed.
    pub(crate) fn wasm_bytes(&self, digest: &str) -> Result<Bytes, WasmError> {
        let unknown = || WasmError::Unknown { digest: digest.to_owned() };
        if !is_digest(digest) {
            return Err(unknown());
        }
        let path = self.wasm(digest);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(unknown()),
            Err(source) => return Err(WasmError::Cache { path, source }),
        };
        if self::digest(&bytes) != digest {
            return Err(WasmError::Damaged {
                digest: digest.to_owned(),
                reason: format!(
                    "{} is damaged; delete it and deploy the same .wasm file again",
                    path.display()
                ),
            });
        }
        Ok(bytes.into())
    }

    /// The component as machine code: from disk, else compiled now and left
    /// there. Takes seconds for large components.
    pub(crate) fn load(
        &self,
        hosting: &Hosting,
        digest: &str,
        wasm: impl FnOnce() -> Result<Bytes, WasmError>,
    ) -> Result<Component, LoadError> {
        let code = self.code(hosting, digest);
        let sum = code.with_extension("cwasm.sha256");
        match self.map(hosting, &code, &sum) {
            Ok(Some(component)) => return Ok(component),
            Ok(None) => {}
            Err(reason) => {
                tracing::warn!("{} is of no use ({reason}): compiling anew", code.display());
            }
        }
        let wasm = wasm()?;
        let compiled = hosting.engine.precompile_component(&wasm).map_err(LoadError::Compile)?;
        let written = self
            .write(&code, &compiled, false)
            .and_then(|()| self.write(&sum, self::digest(&compiled).as_bytes(), false))
            .map_err(|error| error.to_string())
            .and_then(|()| self.map(hosting, &code, &sum));
        match written {
            Ok(Some(component)) => Ok(component),
            Ok(None) | Err(_) => {
                // A full disk is no reason not to run what was compiled.
                tracing::warn!(?written, "{} cannot be kept", code.display());
                // SAFETY: wasmtime made these bytes a moment ago.
                let component = unsafe { Component::deserialize(&hosting.engine, &compiled) };
                component.map_err(LoadError::Room)
            }
        }
    }

    /// Maps machine code from disk; `None` where there is none.
    fn map(&self, hosting: &Hosting, code: &Path, sum: &Path) -> Result<Option<Component>, String> {
        let expected = match std::fs::read_to_string(sum) {
            Ok(expected) => expected,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let bytes = match std::fs::read(code) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        if self::digest(&bytes) != expected.trim() {
            return Err("it is damaged".to_owned());
        }
        // SAFETY: the file is whole, and it was written by an engine with the
        // same tag, which stands for wasmtime's version and configuration:
        // only this host's user may write to the folder (`WasmConfig`).
        let component = unsafe { Component::deserialize_file(&hosting.engine, code) };
        component.map(Some).map_err(|error| format!("{error:#}"))
    }

    /// Writes a file whole or not at all.
    fn write(&self, path: &Path, bytes: &[u8], sync: bool) -> std::io::Result<()> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!(".{}-{count}.tmp", std::process::id()));
        let result = (|| {
            let mut file = std::fs::File::create(&temporary)?;
            file.write_all(bytes)?;
            if sync {
                file.sync_all()?;
            }
            std::fs::rename(&temporary, path)?;
            if sync {
                std::fs::File::open(&self.folder)?.sync_all()?;
            }
            Ok(())
        })();
        if result.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        result
    }
}

/// Why a component cannot be had as machine code.
pub(crate) enum LoadError {
    /// It cannot be compiled.
    Compile(wasmtime::Error),
    /// It was compiled, and cannot be taken into memory.
    Room(wasmtime::Error),
    /// It cannot be read.
    Host(WasmError),
}

impl From<WasmError> for LoadError {
    fn from(error: WasmError) -> Self {
        LoadError::Host(error)
    }
}
