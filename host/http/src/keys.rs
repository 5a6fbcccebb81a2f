//! API keys: who may do what. Only their hashes are kept.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::text::{base64url, from_hex, hex};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// Start orchestrations, raise events to them, signal entities, and read.
    Use,
    /// Everything: also terminate, purge, deploy, and run activities.
    Manage,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyKind::Use => "use",
            KeyKind::Manage => "manage",
        })
    }
}

/// A key as it is kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub kind: KeyKind,
    /// The SHA-256 of the key, in hex. A key is 256 random bits, so that its
    /// hash needs no salt and no slowness.
    pub sha256: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {})", self.name, self.kind)
    }
}

/// The keys of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    keys: Vec<Key>,
}

/// Why keys cannot be read, kept or made.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read or written.
    #[error("the keys in {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not one of keys.
    #[error("{} is not a file of keys: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// There is a key of this name.
    #[error("there is a key named '{0}'; choose another name, or remove that one first")]
    Exists(String),
    /// A key's name is empty or too long to be one.
    #[error("a key's name has 1 to 64 characters and no control characters")]
    BadName,
}

impl Keys {
    /// The file's name in the data directory.
    pub const FILE: &'static str = "keys.json";

    /// The keys kept in `dir`; `None` where none were ever made.
    ///
    /// # Errors
    /// When the file is there and cannot be read: a host must not take that
    /// for "no keys".
    pub fn load(dir: &Path) -> Result<Option<Keys>, KeysError> {
        let path = dir.join(Self::FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(KeysError::Io { path, source }),
        };
        let damaged = |problem: String| KeysError::Damaged { path: path.clone(), problem };
        let keys: Keys =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        match keys.keys.iter().find(|key| digest_of(key).is_none()) {
            Some(key) => Err(damaged(format!("the hash of '{}' is not a SHA-256", key.name))),
            None => Ok(Some(keys)),
        }
    }

    /// Keeps the keys in `dir`, readable by its owner only. The file is
    /// replaced as a whole: a crash leaves the old one or the new one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), KeysError> {
        let path = dir.join(Self::FILE);
        self.replace(&path).map_err(|source| KeysError::Io { path, source })
    }

    fn replace(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let fresh = path.with_extension(format!("{}.tmp", uuid::Uuid::new_v4().simple()));
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&fresh).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()
        });
        let replaced = written.and_then(|()| fs::rename(&fresh, path));
        if replaced.is_err() {
            // Nothing to do about one that stays: it is not read.
            let _ = fs::remove_file(&fresh);
        }
        replaced?;
        #[cfg(unix)]
        if let Some(dir) = path.parent() {
            fs::File::open(dir)?.sync_all()?;
        }
        Ok(())
    }

    /// Makes a key and returns it. It cannot be had again: only its hash is
    /// kept.
    ///
    /// # Errors
    /// When the name is taken or is not one.
    pub fn create(&mut self, name: &str, kind: KeyKind) -> Result<String, KeysError> {
        let length = name.chars().count();
        if !(1..=64).contains(&length) || name.chars().any(char::is_control) {
            return Err(KeysError::BadName);
        }
        if self.keys.iter().any(|key| key.name == name) {
            return Err(KeysError::Exists(name.to_owned()));
        }
        let secret = random_key();
        self.keys.push(Key { name: name.to_owned(), kind, sha256: hex(&Sha256::digest(&secret)) });
        Ok(secret)
    }

    /// Takes a key out; whether there was one of this name.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.keys.len();
        self.keys.retain(|key| key.name != name);
        self.keys.len() < before
    }

    /// The keys, in the order in which they were made.
    pub fn list(&self) -> &[Key] {
        &self.keys
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What `presented` may do, if it is one of the keys.
    pub fn kind_of(&self, presented: &str) -> Option<KeyKind> {
        self.find(presented).map(|key| key.kind)
    }

    /// The one of the keys that `presented` is.
    pub fn find(&self, presented: &str) -> Option<&Key> {
        let digest = Sha256::digest(presented);
        // All are compared, and each to its end, so that the time taken tells
        // nothing about any of them.
        self.keys.iter().fold(None, |found, key| {
            let same = digest_of(key).is_some_and(|known| {
                let differing = known.iter().zip(&digest).fold(0, |bits, (a, b)| bits | (a ^ b));
                std::hint::black_box(differing) == 0
            });
            if same && found.is_none_or(|found: &Key| found.kind < key.kind) {
                Some(key)
            } else {
                found
            }
        })
    }
}

fn digest_of(key: &Key) -> Option<Vec<u8>> {
    from_hex(&key.sha256).filter(|digest| digest.len() == Sha256::output_size())
}

/// 32 bytes with the randomness of four UUIDs (488 bits), hashed because six
/// bits of each are fixed.
fn random_key() -> String {
    let mut hash = Sha256::new();
    for _ in 0..4 {
        hash.update(uuid::Uuid::new_v4().as_bytes());
    }
    base64url(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_hash_only() {
        let mut keys = Keys::default();
        let admin = keys.create("admin", KeyKind::Manage).expect("made");
        let shop = keys.create("shop", KeyKind::Use).expect("made");
        assert_eq!(admin.len(), 43);
        assert_ne!(admin, shop);
        assert_eq!(keys.kind_of(&admin), Some(KeyKind::Manage));
        assert_eq!(keys.kind_of(&shop), Some(KeyKind::Use));
        for wrong in ["", "x", &admin[1..], keys.list()[0].sha256.as_str()] {
            assert_eq!(keys.kind_of(wrong), None, "{wrong}");
        }
        let kept = serde_json::to_string(&keys).expect("JSON");
        assert!(!kept.contains(&admin) && !format!("{keys:?}").contains(&admin));

        assert!(matches!(keys.create("shop", KeyKind::Use), Err(KeysError::Exists(_))));
        assert!(matches!(keys.create("", KeyKind::Use), Err(KeysError::BadName)));
        assert!(keys.remove("shop") && !keys.remove("shop"));
        assert_eq!(keys.kind_of(&shop), None);
    }

    #[test]
    fn keys_are_kept_for_their_owner_only() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(Keys::load(dir.path()).expect("no file").is_none());
        let mut keys = Keys::default();
        let secret = keys.create("admin", KeyKind::Manage).expect("made");
        keys.save(dir.path()).expect("kept");
        keys.create("shop", KeyKind::Use).expect("made");
        keys.save(dir.path()).expect("replaced");
        let loaded = Keys::load(dir.path()).expect("readable").expect("there");
        assert_eq!(loaded, keys);
        assert_eq!(loaded.kind_of(&secret), Some(KeyKind::Manage));
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1, "no litter");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let file = fs::metadata(dir.path().join(Keys::FILE)).expect("there");
            assert_eq!(file.permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_file_is_not_taken_for_no_keys() {
        let dir = tempfile::tempdir().expect("a directory");
        for text in [
            "",
            "{}",
            r#"{"keys":[{"name":"a","kind":"root","sha256":""}]}"#,
            r#"{"keys":[{"name":"a","kind":"use","sha256":"12"}]}"#,
        ] {
            fs::write(dir.path().join(Keys::FILE), text).expect("written");
            let refused = Keys::load(dir.path());
            assert!(matches!(refused, Err(KeysError::Damaged { .. })), "{text}");
        }
    }
}
