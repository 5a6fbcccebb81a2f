//! What is asked for, in a query and in the token that goes on.

use sagahost_core::Millis;
use sagahost_store::{
    BoardFilter, BoardPlace, BoardQuery, BoardSort, InstanceKey, MAX_BUCKETS, MAX_PAGE, Work,
};

use crate::error::ApiError;
use crate::query::Query;
use crate::token;

/// How many rows a page has where the request does not say.
const DEFAULT_PAGE: u64 = 100;

/// How many intervals a histogram has where the request does not say.
const DEFAULT_BUCKETS: u64 = 60;

/// A list.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) query: BoardQuery,
    /// What its tokens are bound to.
    pub(super) filters: String,
}

pub(super) fn listing(asked: &Query<'_>, work: Work) -> Result<Listing, ApiError> {
    let filter = filter(asked)?;
    let sorts = [("created", BoardSort::Created), ("updated", BoardSort::Updated)];
    let sort = word(asked, "sort", sorts)?;
    let descending = word(asked, "order", [("desc", true), ("asc", false)])?;
    let filters = bound_to("list", &filter, &(sort == BoardSort::Updated, descending))?;
    let limit = number(asked, "top", DEFAULT_PAGE, MAX_PAGE)?;
    let after = given(asked, "token", &filters)?
        .map(|[at, key]| BoardPlace { at: at.unsigned_abs(), key: InstanceKey(key) });
    let query = BoardQuery { filter, sort, descending, limit, after, work };
    Ok(Listing { query, filters })
}

/// The token that goes on after this place.
pub(super) fn page_token(place: BoardPlace, filters: &str) -> String {
    token::encode_all([as_stored(place.at), place.key.0], filters)
}

/// A histogram.
#[derive(Debug)]
pub(super) struct Counting {
    filter: BoardFilter,
    filters: String,
    buckets: u32,
    /// Where it goes on, and with which intervals.
    after: Option<(InstanceKey, Span)>,
}

/// From when to when, in which steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Millis,
    /// The last time that counts.
    pub(super) to: Millis,
    pub(super) width: Millis,
}

impl Span {
    /// Steps of one length, at most so many.
    fn new(from: Millis, to: Millis, buckets: u32) -> Self {
        let length = to.saturating_sub(from).saturating_add(1);
        Span { from, to, width: length.div_ceil(u64::from(buckets.max(1))) }
    }

    /// How many steps it takes.
    pub(super) fn buckets(self) -> u32 {
        if self.to < self.from || self.width == 0 {
            return 0;
        }
        let length = (self.to - self.from).saturating_add(1);
        u32::try_from(length.div_ceil(self.width)).unwrap_or(MAX_BUCKETS).min(MAX_BUCKETS)
    }
}

pub(super) fn counting(asked: &Query<'_>) -> Result<Counting, ApiError> {
    let filter = filter(asked)?;
    let buckets = number(asked, "buckets", DEFAULT_BUCKETS, MAX_BUCKETS)?;
    let filters = bound_to("histogram", &filter, &buckets)?;
    let after = given(asked, "token", &filters)?.map(|[key, from, to, width]| {
        let [from, to, width] = [from, to, width].map(i64::unsigned_abs);
        (InstanceKey(key), Span { from, to, width })
    });
    Ok(Counting { filter, filters, buckets, after })
}

impl Counting {
    /// Whether nobody said when it begins and ends.
    pub(super) fn needs_span(&self) -> bool {
        self.after.is_none()
            && (self.filter.created_from.is_none() || self.filter.created_to.is_none())
    }

    /// The intervals, and where to go on. What nobody said is taken from when
    /// the oldest and the newest there is were created.
    pub(super) fn resolved(&self, kept: Option<(Millis, Millis)>) -> (Span, Option<InstanceKey>) {
        if let Some((key, span)) = self.after {
            return (span, Some(key));
        }
        let Some((oldest, newest)) =
            kept.or_else(|| self.filter.created_from.zip(self.filter.created_to))
        else {
            return (Span { from: 0, to: 0, width: 0 }, None);
        };
        let from = self.filter.created_from.unwrap_or(oldest);
        let to = self.filter.created_to.unwrap_or(newest);
        (Span::new(from, to, self.buckets), None)
    }

    pub(super) fn filter_within(&self, span: Span) -> BoardFilter {
        BoardFilter {
            created_from: Some(span.from),
            created_to: Some(span.to),
            ..self.filter.clone()
        }
    }

    /// The token that goes on after this instance, with the same intervals.
    pub(super) fn token(&self, next: InstanceKey, span: Span) -> String {
        let Span { from, to, width } = span;
        let [from, to, width] = [from, to, width].map(as_stored);
        token::encode_all([next.0, from, to, width], &self.filters)
    }
}

fn filter(asked: &Query<'_>) -> Result<BoardFilter, ApiError> {
    let text = |name| asked.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let time = |name| Ok::<_, ApiError>(asked.number(name)?.map(|time| as_stored(time) as u64));
    Ok(BoardFilter {
        id_prefix: text("idPrefix"),
        created_from: time("from")?,
        created_to: time("to")?,
        statuses: asked.statuses_in("status")?,
        saga: asked.saga_states_in("saga")?,
        name: text("name"),
        tags: asked.tags()?,
        search: text("search"),
    })
}

/// No time is stored that is later.
fn as_stored(time: Millis) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

/// What tokens are bound to: all but the size of a page.
fn bound_to(
    what: &str,
    filter: &BoardFilter,
    more: &impl serde::Serialize,
) -> Result<String, ApiError> {
    let filters = (
        what,
        &filter.id_prefix,
        (filter.created_from, filter.created_to),
        &filter.statuses,
        &filter.saga,
        &filter.name,
        &filter.tags,
        &filter.search,
        more,
    );
    serde_json::to_string(&filters).map_err(|_| ApiError::internal())
}

fn given<const N: usize>(
    asked: &Query<'_>,
    name: &str,
    filters: &str,
) -> Result<Option<[i64; N]>, ApiError> {
    let Some(token) = asked.get(name).map(str::trim).filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    token::decode_all(token, filters).map(Some).ok_or_else(|| {
        ApiError::bad_argument(format!(
            "'{name}' is not a 'next' that this host gave for the same filters and order; leave it \
             out to begin at the beginning."
        ))
    })
}

/// A number from 1 on; all above `most` count as that.
fn number(asked: &Query<'_>, name: &str, default: u64, most: u32) -> Result<u32, ApiError> {
    match asked.number(name)?.unwrap_or(default) {
        0 => Err(ApiError::bad_argument(format!("'{name}' is at least 1."))),
        number => Ok(u32::try_from(number).unwrap_or(most).min(most)),
    }
}

/// What one of these words stands for; the first where there is none.
fn word<T: Copy, const N: usize>(
    asked: &Query<'_>,
    name: &str,
    words: [(&str, T); N],
) -> Result<T, ApiError> {
    let value = asked.get(name).map(str::trim).unwrap_or_default();
    if value.is_empty() {
        return Ok(words[0].1);
    }
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(value));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let known = words.map(|(word, _)| word).join(" or ");
        ApiError::bad_argument(format!("'{name}' is {known}, not '{value}'."))
    })
}
