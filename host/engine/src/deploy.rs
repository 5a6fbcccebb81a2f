//! Deployment: every `*.wasm` in one folder is a component, and a deployment
//! over the network puts its file there. So the folder is all there is to
//! know, and all there is to copy.

use std::path::{Path, PathBuf};

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
        if !is_file_name(name) {
            return Err(DeployError::BadName(name.to_owned()));
        }
        let runtime = &self.inner.runtime;
        let bytes = Bytes::from(bytes);
        let candidate = runtime.check(name, bytes.clone()).await?;
        let path = self.inner.config.functions_dir.join(format!("{name}.wasm"));
        blocking(move || write(&path, &bytes)).await?;
        Ok(runtime.activate(candidate)?)
    }

    /// Loads what is in a file of the functions folder, under the file's
    /// name. `None` where just that is deployed already.
    ///
    /// # Errors
    /// When it cannot be read or is refused; then what was there before is
    /// still there.
    pub async fn deploy_file(&self, path: &Path) -> Result<Option<Deployment>, DeployError> {
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        if !is_file_name(&name) {
            return Err(DeployError::BadName(name));
        }
        let runtime = &self.inner.runtime;
        let path = path.to_owned();
        let bytes =
            blocking(move || std::fs::read(&path).map_err(file_error("read", &path))).await?;
        let candidate = runtime.check(&name, bytes.into()).await?;
        let digest = &candidate.deployment().digest;
        let same = |there: &Deployment| there.component == name && there.digest == *digest;
        if runtime.deployments().iter().any(same) {
            return Ok(None);
        }
        Ok(Some(runtime.activate(candidate)?))
    }

    /// Takes a component's functions out of use, because its file is gone.
    /// Instances that run on it go on.
    pub fn undeploy(&self, name: &str) -> bool {
        self.inner.runtime.remove(name)
    }

    /// Loads every component of the functions folder, in the order of their
    /// names. A bad one is reported and does not keep the others from being
    /// loaded.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    #[allow(clippy::type_complexity)]
    pub async fn load_functions(
        &self,
    ) -> Result<Vec<(PathBuf, Result<Option<Deployment>, DeployError>)>, DeployError> {
        let dir = &self.inner.config.functions_dir;
        std::fs::create_dir_all(dir).map_err(file_error("create", dir))?;
        let mut files = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(file_error("list", dir))? {
            let path = entry.map_err(file_error("list", dir))?.path();
            if path.extension().is_some_and(|extension| extension == "wasm") {
                files.push(path);
            }
        }
        files.sort_unstable();
        let mut loaded = Vec::new();
        for path in files {
            let outcome = self.deploy_file(&path).await;
            loaded.push((path, outcome));
        }
        Ok(loaded)
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

fn is_file_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.chars().all(fits)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_components_cannot_leave_the_folder() {
        for name in ["orders", "orders-2.1", "a_b"] {
            assert!(is_file_name(name), "{name}");
        }
        for name in ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a b", "ä"] {
            assert!(!is_file_name(name), "{name}");
        }
    }
}
