//! How many connections this process may have.

use anyhow::Result;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::exit::{Exit, fail};

/// Files that are open beside the connections of the load.
const OTHERS: u64 = 64;

/// Raises the limit on open files, where that many connections need it.
pub(super) fn make_room(connections: usize) -> Result<()> {
    let needed = connections as u64 + OTHERS;
    let now = getrlimit(Resource::Nofile);
    let Some(raised) = raised(now, needed)? else { return Ok(()) };
    setrlimit(Resource::Nofile, raised).map_err(|error| {
        fail(Exit::Failed, format!("cannot raise the limit on open files to {needed}: {error}"))
    })
}

/// The limit as it has to be; `None` where it is high enough.
fn raised(now: Rlimit, needed: u64) -> Result<Option<Rlimit>> {
    if now.current.is_none_or(|current| current >= needed) {
        return Ok(None);
    }
    match now.maximum {
        Some(most) if most < needed => Err(fail(
            Exit::Usage,
            format!(
                "so many in flight need {needed} open files, and this process may have {most}: raise the hard limit (`ulimit -Hn {needed}`, as root), or take fewer"
            ),
        )),
        maximum => Ok(Some(Rlimit { current: Some(needed), maximum })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(current: Option<u64>, maximum: Option<u64>) -> Rlimit {
        Rlimit { current, maximum }
    }

    #[test]
    fn the_limit_is_raised_as_far_as_needed_and_allowed() {
        let enough = [limit(None, None), limit(Some(100), Some(100))];
        for now in enough {
            assert!(raised(now, 100).expect("allowed").is_none());
        }
        let more = raised(limit(Some(50), Some(200)), 100).expect("allowed").expect("raised");
        assert_eq!((more.current, more.maximum), (Some(100), Some(200)));
        let more = raised(limit(Some(50), None), 100).expect("allowed").expect("raised");
        assert_eq!((more.current, more.maximum), (Some(100), None));
        let error = raised(limit(Some(50), Some(99)), 100).expect_err("too few");
        assert!(error.to_string().contains("100 open files"), "{error}");
    }
}
