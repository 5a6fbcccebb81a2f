//! Reads that look at much and are in no hurry: what people browse.
//!
//! They have threads of their own, so that no more of them run at once, and
//! where the system knows of such a thing, these threads run when nothing else
//! wants to: a list that is read again and again does not slow sagas down.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use sagahost_store::{Store, StoreError};
use tokio::sync::oneshot;

use crate::api::Engine;
use crate::error::CommandError;

/// How many of these reads run at once.
const THREADS: usize = 2;

type Job = Box<dyn FnOnce() + Send>;

/// The threads, for as long as this is there and what it was given is not done.
pub(crate) struct Background {
    jobs: mpsc::Sender<Job>,
}

impl Background {
    pub(crate) fn start() -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..THREADS {
            let queue = queue.clone();
            let work = move || {
                stand_back();
                loop {
                    // The lock is let go before the job begins.
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = next else { return };
                    // Whoever waits for it is told by what it drops, and the
                    // panic's message is in the log.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                }
            };
            std::thread::Builder::new().name("background".into()).spawn(work)?;
        }
        Ok(Background { jobs })
    }
}

/// Lets every other thread of the machine go first. On Linux a thread has a
/// priority of its own.
#[cfg(target_os = "linux")]
fn stand_back() {
    const LOWEST: i32 = 19;
    if let Err(error) = rustix::process::setpriority_process(None, LOWEST) {
        tracing::debug!(%error, "reads in the background run at the priority of all others");
    }
}

#[cfg(not(target_os = "linux"))]
fn stand_back() {}

impl Engine {
    /// Reads in the background: after those that were asked for before, on one
    /// of few threads, which give way to everything else. What is asked for here
    /// comes soon where the host has little to do, and it should not take long.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn read_in_background<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, CommandError> {
        let store = self.inner.store.clone();
        let (done, outcome) = oneshot::channel();
        let job = move || {
            // Nobody may want it any more.
            if !done.is_closed() {
                let read = read(&*store);
                // The store is free before anybody knows.
                drop(store);
                let _ = done.send(read);
            }
        };
        let gone = || CommandError::Store("a read in the background broke off".to_owned());
        self.inner.background.jobs.send(Box::new(job)).map_err(|_| gone())?;
        Ok(outcome.await.map_err(|_| gone())??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_panics_leaves_the_threads_to_the_others() {
        let background = Background::start().expect("threads");
        let (done, outcomes) = mpsc::channel();
        for number in 0..3 * THREADS {
            let done = done.clone();
            let job = move || {
                assert!(number % 2 == 0, "this job is to panic");
                done.send(number).expect("the test waits");
            };
            background.jobs.send(Box::new(job)).expect("the threads are there");
        }
        drop(done);
        let mut outcomes: Vec<usize> = outcomes.iter().collect();
        outcomes.sort_unstable();
        assert_eq!(outcomes, [0, 2, 4]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn its_threads_stand_back_and_no_others() {
        let background = Background::start().expect("threads");
        let nice = || rustix::process::getpriority_process(None).expect("a priority");
        let (done, outcome) = mpsc::channel();
        let job = move || done.send(nice()).expect("the test waits");
        background.jobs.send(Box::new(job)).expect("the threads are there");
        assert_eq!(outcome.recv().expect("it runs"), 19);
        assert!(nice() < 19, "of this thread");
    }
}
