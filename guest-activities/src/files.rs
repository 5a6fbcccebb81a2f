//! Records in the shop's directory, each written in one piece.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Write};

use sagahost::{ActivityContext, Failure, serde_json};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Where the manifest mounts the directory.
const SHOP: &str = "/shop";

/// The path of something in the shop's directory.
pub(crate) fn path(name: impl fmt::Display) -> String {
    format!("{SHOP}/{name}")
}

/// Reads a record; `None` if there is none.
pub(crate) fn read<T: DeserializeOwned>(path: &str) -> Result<Option<T>, Failure> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failure(path, &error)),
    };
    match serde_json::from_slice(&text) {
        Ok(record) => Ok(Some(record)),
        Err(error) => Err(Failure::permanent("damaged-record", format!("{path}: {error}"))),
    }
}

/// Writes records: each is written beside its place and then moved there, so
/// that nobody ever sees half of one.
pub(crate) struct Writer {
    owner: Owner,
    /// A file of this step's own.
    temporary: String,
}

/// Who has the right to take over a record that was undone.
#[derive(Serialize, Deserialize)]
struct Owner {
    key: String,
    instance: String,
}

impl Writer {
    pub(crate) fn new(ctx: &ActivityContext) -> Self {
        let owner = Owner { key: ctx.idempotency_key(), instance: ctx.instance_id() };
        let temporary = path(format_args!("tmp/{:016x}", hash(&owner.key)));
        Self { owner, temporary }
    }

    /// Writes the record where there is none yet. Says whether there was none:
    /// of several that do this at once, one gets `true`. If it fails, the
    /// record is not there.
    pub(crate) fn create(&self, path: &str, record: &impl Serialize) -> Result<bool, Failure> {
        self.write(record)?;
        let linked = with_folder(path, || fs::hard_link(&self.temporary, path));
        // What cannot be removed is in nobody's way.
        let _ = fs::remove_file(&self.temporary);
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(failure(path, &error)),
        }
    }

    /// Writes the record in the place of the one that is there.
    pub(crate) fn replace(&self, path: &str, record: &impl Serialize) -> Result<(), Failure> {
        self.write(record)?;
        with_folder(path, || fs::rename(&self.temporary, path))
            .map_err(|error| failure(path, &error))
    }

    /// Writes the record in the place of one that was undone, which the step
    /// with the key `undone` wrote. Of several that do this at once, one gets
    /// `true`, and again when it is run again: who makes the marker is the
    /// only one who may, and there is another marker for each `undone`.
    pub(crate) fn take_over(
        &self,
        path: &str,
        undone: &str,
        record: &impl Serialize,
    ) -> Result<bool, Failure> {
        let marker = marker(path, undone);
        if !self.create(&marker, &self.owner)? {
            let owner = read::<Owner>(&marker)?;
            if owner.is_none_or(|owner| owner.key != self.owner.key) {
                return Ok(false);
            }
        }
        if let Err(failure) = self.replace(path, record) {
            or_unknown(path, remove(&marker));
            return Err(failure);
        }
        Ok(true)
    }

    /// Lets others take over a record which another step of this orchestration
    /// had the right to, but died before it did.
    pub(crate) fn leave(&self, path: &str, undone: &str) -> Result<(), Failure> {
        let marker = marker(path, undone);
        match read::<Owner>(&marker)? {
            Some(owner) if owner.instance == self.owner.instance => remove(&marker),
            _ => Ok(()),
        }
    }

    fn write(&self, record: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_vec(record)?;
        let path = &self.temporary;
        let create = || with_folder(path, || fs::File::create_new(path));
        let written = match create() {
            // What a killed attempt left is not written over: it may be a
            // second name of a record that is in its place already.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                fs::remove_file(path).and_then(|()| create())
            }
            created => created,
        };
        written.and_then(|mut file| file.write_all(&text)).map_err(|error| failure(path, &error))
    }
}

/// The file whose maker may take over an undone record.
fn marker(path: &str, undone: &str) -> String {
    format!("{path}.after-{:016x}", hash(undone)).replacen(SHOP, &format!("{SHOP}/taken"), 1)
}

/// Creates an empty file; one that is there already will do.
pub(crate) fn mark(path: &str) -> Result<(), Failure> {
    match with_folder(path, || fs::File::create(path)) {
        Ok(_) => Ok(()),
        Err(error) => Err(failure(path, &error)),
    }
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &str) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failure(path, &error)),
    }
}

/// The names in a folder; none if there is no such folder.
pub(crate) fn names(path: &str) -> Result<Vec<String>, Failure> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failure(path, &error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| failure(path, &error))?;
        names.extend(entry.file_name().into_string().ok());
    }
    Ok(names)
}

/// Takes something back before a failure is returned: a failure says that
/// nothing was done. If it cannot be taken back, that would be a lie, and to
/// panic is how to say that nobody knows what was done.
pub(crate) fn or_unknown(what: &str, taken_back: Result<(), Failure>) {
    if let Err(failure) = taken_back {
        panic!("{what} is half done, and could not be taken back: {failure}");
    }
}

/// Does something with a file, and if its folder is missing, makes the folder
/// and does it again: the folder is there nearly always.
fn with_folder<T>(path: &str, act: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match act() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Some((folder, _)) = path.rsplit_once('/') {
                fs::create_dir_all(folder)?;
            }
            act()
        }
        done => done,
    }
}

fn failure(path: &str, error: &io::Error) -> Failure {
    Failure::transient("shop-directory", format!("{path}: {error}"))
}

/// FNV-1a: a short name for a key.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
