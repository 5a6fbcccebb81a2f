//! Deployment: every `*.wasm` in one folder is a component, and a deployment
//! over the network puts its file there. So the folder is all there is to
//! know, and all there is to copy. Who deployed it is noted in the store, with
//! the digest that the note is about.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use sagahost_core::Millis;
use sagahost_store::Write;
use sagahost_wasm::Deployment;
use serde::{Deserialize, Serialize};

use crate::api::Engine;
use crate::error::{CommandError, DeployError};

/// How a component came to be deployed, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// When its file was written into the functions folder.
    pub at: Option<Millis>,
    /// Whether that was done over the network. Otherwise somebody else put the
    /// file there.
    pub over_network: bool,
    /// Who asked for that, where keys have names.
    pub by: Option<String>,
}

/// What is noted of a deployment over the network.
#[derive(Serialize, Deserialize)]
struct Note {
    digest: String,
    by: Option<String>,
}

fn note_name(component: &str) -> String {
    format!("component/{component}")
}

impl Engine {
    /// What is deployed.
    pub fn deployments(&self) -> Vec<Deployment> {
        self.inner.runtime.deployments()
    }

    /// How a component came to be deployed.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn deployed(&self, deployment: &Deployment) -> Result<Deployed, CommandError> {
        let path = self.path_of(&deployment.component);
        let modified = tokio::task::spawn_blocking(move || std::fs::metadata(path)?.modified());
        let modified = modified.await.ok().and_then(Result::ok);
        let since = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let at = since.and_then(|since| Millis::try_from(since.as_millis()).ok());
        let name = note_name(&deployment.component);
        let noted = self.read(move |store| store.note(&name)).await?;
        let noted = noted.and_then(|text| serde_json::from_str::<Note>(&text).ok());
        // Another file may be there since.
        let noted = noted.filter(|noted| noted.digest == deployment.digest);
        Ok(Deployed { at, over_network: noted.is_some(), by: noted.and_then(|noted| noted.by) })
    }

    fn path_of(&self, component: &str) -> PathBuf {
        self.inner.config.functions_dir.join(format!("{component}.wasm"))
    }

    /// Checks a component, writes it into the functions folder and lets it
    /// take effect. Instances that run stay on the component they began with.
    /// `by` is noted.
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
        let note = Note { digest: deployed.digest.clone(), by: by.map(str::to_owned) };
        let written = match serde_json::to_string(&note) {
            Ok(value) => {
                let name = note_name(&deployed.component);
                let write = Write::SetNote { name, value: Some(value) };
                self.inner.writer.write(write).await.map(drop).map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = written {
            tracing::warn!(component = name, %error, "it is deployed; by whom could not be noted");
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
