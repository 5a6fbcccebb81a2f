//! Functions in this process, without a server: for `invoke` and `bench`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use sagahost_wasm::{Runtime, WasmConfig};

use crate::exit::{Exit, fail};
use crate::folder::{Change, Folder};
use crate::manifest::Loaded;

/// The functions of a folder.
pub(crate) struct Local {
    pub(crate) runtime: Runtime,
    /// The components that were refused, and why.
    pub(crate) refused: Vec<(PathBuf, String)>,
}

/// Loads all components of the folder that is named, else of the manifest's,
/// with what the manifest grants.
pub(crate) async fn open(loaded: &Loaded, functions: Option<&Path>) -> Result<Local> {
    let data = loaded.data(None);
    let functions = loaded.functions(functions, &data);
    if !functions.is_dir() {
        return Err(fail(
            Exit::Usage,
            format!(
                "there is no functions folder {}; `sagahost build` builds the manifest's functions",
                functions.display()
            ),
        ));
    }
    let config = WasmConfig {
        // The host's own, so that nothing is compiled twice: files in it are
        // named by their content.
        cache_dir: data.join("components"),
        max_orchestrators: 1_024,
        ..WasmConfig::default()
    };
    sagahost_store::make_dir(&data)?;
    std::fs::create_dir_all(&config.cache_dir).map_err(|error| {
        fail(Exit::Failed, format!("cannot make {}: {error}", config.cache_dir.display()))
    })?;
    let runtime = Runtime::new(config)?;
    runtime.set_rules(loaded.rules()?);
    loaded.make_granted_dirs()?;
    let changes = Folder::new(functions, runtime.clone()).sync().await;
    let refused = changes.into_iter().filter_map(|change| match change {
        Change::Refused { path, reason } => Some((path, reason)),
        _ => None,
    });
    Ok(Local { refused: refused.collect(), runtime })
}
