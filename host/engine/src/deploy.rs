//! Deployment: every `*.wasm` in one folder is a component, and a deployment
//! over the network puts its file there. So the folder is all there is to
//! know, and all there is to copy.

use std::path::Path;

use bytes::Bytes;
use sagahost_wasm::Deployment;

use crate::api::Engine;
use crate::error::DeployError;

impl Engine {
    /// What is deployed.
    pub fn deployments(&self) -> Vec<Deployment> {
        self.inner.runtime.deployments()
    }

    /// Checks a component, writes it into the functions folder and lets it
    /// take effect. Instances that run stay on the component they began with.
    ///
    /// # Errors
    /// When it is refused; then what was there before is still there.
    pub async fn deploy(&self, name: &str, bytes: Vec<u8>) -> Result<Deployment, DeployError> {
        let runtime = &self.inner.runtime;
        let bytes = Bytes::from(bytes);
        // The check refuses a name that cannot be a file's, too.
        let candidate = runtime.check(name, bytes.clone()).await?;
        let path = self.inner.config.functions_dir.join(format!("{name}.wasm"));
        blocking(move || write(&path, &bytes)).await?;
        Ok(runtime.activate(candidate)?)
    }
}

fn file_error<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> DeployError + 'a {
    move |source| DeployError::File { doing, path: path.display().to_string(), source }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DeployError> + Send + 'static,
) -> Result<T, DeployError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(DeployError::Interrupted))
}

/// Writes a file so that it is there whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), DeployError> {
    use std::io::Write;

    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(file_error("create", dir))?;
    }
    let temporary = path.with_extension(format!("{}.tmp", uuid::Uuid::new_v4().simple()));
    let written = std::fs::File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|source| {
        // What cannot be removed is not loaded: it is no `*.wasm`.
        let _ = std::fs::remove_file(&temporary);
        file_error("write", path)(source)
    })
}
