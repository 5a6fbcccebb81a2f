//! What a listing asks for, and what it is given: pages.

use sagahost_core::{Millis, RuntimeStatus, SagaState};

use crate::types::tags_bytes;
use crate::{InstanceKey, InstanceRow};

/// The most rows of one page of a listing.
pub const MAX_PAGE: u32 = 1_000;

/// A page ends early when its inputs, outputs, custom statuses, tags and
/// texts of what is stuck have reached this many bytes together (it always has
/// at least one row).
pub const MAX_PAGE_BYTES: usize = 8 << 20;

/// What a listing shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListKind {
    /// Instances of orchestrations, and no entity.
    #[default]
    Instances,
    /// Entities: the rows whose id begins with `@`. Those of one name have the
    /// prefix `@name@`.
    Entities,
}

/// Which instances to list. All conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Instances or entities.
    pub kind: ListKind,
    /// The id begins with this; with regard to case.
    pub id_prefix: Option<String>,
    /// Created at this time or later.
    pub created_from: Option<Millis>,
    /// Created at this time or earlier.
    pub created_to: Option<Millis>,
    /// Last changed at this time or later.
    pub updated_from: Option<Millis>,
    /// Last changed at this time or earlier.
    pub updated_to: Option<Millis>,
    /// Of one of these statuses; any if empty.
    pub statuses: Vec<RuntimeStatus>,
    /// In one of these saga states; in any if empty.
    pub saga: Vec<SagaState>,
    /// Of this orchestrator.
    pub name: Option<String>,
    /// With each of these tags, and this value of each.
    pub tags: Vec<(String, String)>,
    /// Whether to read inputs.
    pub with_input: bool,
    /// How many at most. 0 and all above [`MAX_PAGE`] count as [`MAX_PAGE`].
    pub limit: u32,
    /// Only instances after this one: [`Page::next`] of the page before.
    pub after: Option<InstanceKey>,
}

/// Some of the instances that were asked for, in the order in which they were
/// created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The instances.
    pub rows: Vec<InstanceRow>,
    /// Where to go on ([`ListQuery::after`]), if there are more.
    pub next: Option<InstanceKey>,
}

/// How many rows a page of this query has at most.
pub(crate) fn page_size(query: &ListQuery) -> usize {
    match query.limit {
        0 => MAX_PAGE as usize,
        limit => limit.min(MAX_PAGE) as usize,
    }
}

/// A page of at most `size` rows and about [`MAX_PAGE_BYTES`]. `rows` has at
/// least one row more than that, if there are any.
pub(crate) fn fill_page<E>(
    rows: impl Iterator<Item = Result<InstanceRow, E>>,
    size: usize,
) -> Result<Page, E> {
    let mut page = Page::default();
    let mut bytes = 0;
    for row in rows {
        let row = row?;
        if page.rows.len() == size || bytes >= MAX_PAGE_BYTES {
            page.next = page.rows.last().map(|row| row.key);
            break;
        }
        let summary = &row.summary;
        bytes += [&row.input, &summary.output, &summary.custom_status, &summary.stuck]
            .into_iter()
            .flatten()
            .map(|json| json.as_str().len())
            .sum::<usize>()
            + tags_bytes(&row.tags);
        page.rows.push(row);
    }
    Ok(page)
}

/// The string that is above all strings that begin with `prefix`, and not
/// above any other that is: the end of the range that the prefix stands for.
/// `None` where there is none. UTF-8 orders strings as their code points do.
pub(crate) fn prefix_end(prefix: &str) -> Option<String> {
    let mut end: Vec<char> = prefix.chars().collect();
    while let Some(last) = end.pop() {
        // The code points between D7FF and E000 are not characters.
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            last => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            end.push(next);
            return Some(end.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_string_of_its_length_or_shorter() {
        assert_eq!(prefix_end("ab"), Some("ac".into()));
        assert_eq!(prefix_end("a\u{10ffff}"), Some("b".into()));
        assert_eq!(prefix_end("\u{d7ff}"), Some("\u{e000}".into()));
        assert_eq!(prefix_end("\u{10ffff}"), None);
        assert_eq!(prefix_end(""), None);
    }
}
