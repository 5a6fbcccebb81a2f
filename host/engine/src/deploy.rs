//! Deployment: every `*.wasm` in one folder is a component, and a deployment
//! over the network puts its file there. So the folder is all there is to
//! know, and all there is to copy.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use sagahost_core::Millis;
use sagahost_wasm::Deployment;

use crate::api::Engine;
use crate::error::DeployError;

impl Engine {
    /// What is deployed.
    pub fn deployments(&self) -> Vec<Deployment> {
        self.inner.runtime.deployments()
    }

    /// When a component's file was written into the functions folder, and who
    /// deployed it; as far as that is known.
    pub async fn deployed(&self, deployment: &Deployment) -> (Option<Millis>, Option<String>) {
        let path = self.path_of(&deployment.component);
        let modified = tokio::task::spawn_blocking(move || std::fs::metadata(path)?.modified());
        let modified = modified.await.ok().and_then(Result::ok);
        let since = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let at = since.and_then(|since| Millis::try_from(since.as_millis()).ok());
        let deployed_by = self.inner.deployed_by.lock().unwrap_or_else(PoisonError::into_inner);
        let by = deployed_by.get(&deployment.component);
        let by = by.filter(|(digest, _)| *digest == deployment.digest);
        (at, by.map(|(_, who)| who.clone()))
    }

    fn path_of(&self, component: &str) -> PathBuf {
        self.inner.config.functions_dir.join(format!("{component}.wasm"))
    }

    /// Checks a component, writes it into the functions folder and lets it
    /// take effect. Instances that run stay on the component they began with.
    /// `by` is remembered while this host runs.
    ///
    /// # Errors
    /// When it is refused; then what was there before is still there.
    pub async fn deploy(
        &self,
        name: &str,
        bytes: Vec<u8>,
        by: Option<&str>,
    ) -> Result<Deployment, DeployError> {
        let runtime = &self.inner.runtime;
        let bytes = Bytes::from(bytes);
        // The check refuses a name that cannot be a file's, too.
        let candidate = runtime.check(name, bytes.clone()).await?;
        let path = self.path_of(name);
        blocking(move || write(&path, &bytes)).await?;
        let deployed = runtime.activate(candidate)?;
        let mut deployed_by = self.inner.deployed_by.lock().unwrap_or_else(PoisonError::into_inner);
        match by {
            Some(by) => {
                let known = (deployed.digest.clone(), by.to_owned());
                deployed_by.insert(deployed.component.clone(), known);
            }
            None => {
                deployed_by.remove(&deployed.component);
            }
        }
        Ok(deployed)
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
