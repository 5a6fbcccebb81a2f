//! The table of the tags, by which instances that have some are found. It
//! repeats what the rows of the instances say. Entities are not in it.

use rusqlite::{Transaction, params};
use sagahost_core::Tags;

use super::read;
use crate::InstanceKey;

/// Notes the tags of a new instance.
pub(super) fn add(
    transaction: &Transaction<'_>,
    key: InstanceKey,
    id: &str,
    tags: &Tags,
) -> rusqlite::Result<()> {
    if tags.is_empty() || id.starts_with('@') {
        return Ok(());
    }
    let mut insert =
        transaction.prepare_cached("INSERT INTO tags (word, value, key) VALUES (?1, ?2, ?3)")?;
    for (word, value) in tags {
        insert.execute(params![word, value, key.0])?;
    }
    Ok(())
}

/// Forgets the tags of an instance that is about to be deleted.
pub(super) fn remove(transaction: &Transaction<'_>, key: InstanceKey) -> rusqlite::Result<()> {
    let tags = transaction
        .prepare_cached("SELECT tags FROM instances WHERE key = ?1")?
        .query_row([key.0], |row| read::tags(row, 0))?;
    if tags.is_empty() {
        return Ok(());
    }
    let mut delete = transaction
        .prepare_cached("DELETE FROM tags WHERE word = ?1 AND value = ?2 AND key = ?3")?;
    for (word, value) in &tags {
        delete.execute(params![word, value, key.0])?;
    }
    Ok(())
}
