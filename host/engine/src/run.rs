//! Running an orchestrator's code.

use sagahost_core::{BlockedReason, Failure, FailureKind, Mismatch, Started};
use sagahost_wasm::{FiberEnd, FunctionKind, WasmError};

use crate::cell::{Body, Resident};
use crate::entry::while_young;
use crate::guest::{self, Guest, SharedGuest};
use crate::lifecycle::Inner;

impl Inner {
    /// Runs the code as far as it goes.
    pub(crate) async fn run(&self, body: &mut Body) {
        while_young(body.young.clone(), self.run_code(body)).await;
    }

    async fn run_code(&self, body: &mut Body) {
        let mut anew = false;
        loop {
            let (start, replaying, events) = {
                let mut guest = guest::lock(&body.guest);
                let orchestration = &mut guest.orchestration;
                if !orchestration.may_run() {
                    // What comes needs no code, unless it turns out that the
                    // saga goes forward: then it runs from its beginning.
                    if body.resident.take().is_some() {
                        orchestration.start_over();
                    }
                    return;
                }
                let blocked = orchestration.instance().blocked().is_some();
                let retry = blocked && body.resident.is_none();
                if !orchestration.wants_to_run() && !retry {
                    return;
                }
                let start =
                    body.resident.is_none().then(|| orchestration.instance().started().clone());
                (start, orchestration.is_replaying(), orchestration.instance().events())
            };
            if let Some(start) = start {
                match self.resident(start, body.guest.clone()).await {
                    Ok(resident) => body.resident = Some(resident),
                    Err(error) => return self.no_code(body, &error),
                }
                if replaying {
                    self.counters.replays.add(1);
                    self.counters.replayed.observe(events);
                }
            }
            let Some(resident) = &mut body.resident else {
                return;
            };
            let end = resident.fiber.resume().await;
            let mut guest = guest::lock(&body.guest);
            let outcome = match end {
                FiberEnd::Parked => {
                    let parked = guest.orchestration.parked();
                    if parked.is_ok() {
                        guest.orchestration.unblock();
                        continue;
                    }
                    parked
                }
                FiberEnd::Returned(result) => {
                    let goes_on = result.is_ok();
                    let returned = guest.orchestration.returned(result);
                    if goes_on && returned.is_ok() && guest.orchestration.is_to_begin_anew() {
                        let digest = self.newest(&guest);
                        guest.orchestration.begin_anew(digest, self.forget_before());
                        drop(guest);
                        body.resident = None;
                        // Code that never waits would make a turn without end.
                        if std::mem::replace(&mut anew, true) {
                            return;
                        }
                        continue;
                    }
                    returned
                }
                FiberEnd::Trapped(failure) => {
                    self.counters.limit(failure.kind);
                    trapped(&mut guest, failure)
                }
                FiberEnd::Stopped(message) => match guest.mismatch.take() {
                    Some(mismatch) if guest.orchestration.is_replaying() => Err(mismatch),
                    // What the code asked for has never been possible.
                    _ => {
                        let failure = Failure::host(FailureKind::Trap, message);
                        trapped(&mut guest, failure)
                    }
                },
            };
            drop(guest);
            match outcome {
                Ok(()) => body.resident = None,
                Err(Mismatch { position, journal, code }) => {
                    self.block(body, BlockedReason::Mismatch { position, journal, code });
                }
            }
            return;
        }
    }

    /// The component that an orchestration which begins again runs on: the one
    /// that is deployed; the one it had, where none is.
    pub(crate) fn newest(&self, guest: &Guest) -> String {
        let started = guest.orchestration.instance().started();
        match self.runtime.function(&started.name) {
            Some(function) if function.kind == FunctionKind::Orchestrator => {
                function.digest.clone()
            }
            _ => started.digest.clone(),
        }
    }

    /// Puts an orchestrator's code into memory, at its beginning.
    pub(crate) async fn resident(
        &self,
        started: Started,
        guest: SharedGuest,
    ) -> Result<Resident, WasmError> {
        let Started { name, input, digest, .. } = started;
        let place = self.residents.place(&self.cells, &self.counters).await;
        let pinned = self.runtime.pin(&digest).await?;
        let fiber = self.runtime.start_orchestrator(&digest, &name, input, guest)?;
        Ok(Resident { fiber, _pinned: pinned, _place: place })
    }

    /// The code cannot be brought into memory. Where that stays so, what it
    /// did is undone.
    fn no_code(&self, body: &mut Body, error: &WasmError) {
        let message = error.to_string();
        if error.is_lost() {
            let failure = Failure::host(FailureKind::CodeLost, message.clone());
            if guest::lock(&body.guest).orchestration.code_lost(failure) {
                tracing::error!(instance = %body.id(), error = message, "the code of a saga is lost; it is undone");
                return;
            }
        }
        self.block(body, BlockedReason::Unavailable { message });
    }

    fn block(&self, body: &mut Body, reason: BlockedReason) {
        tracing::error!(instance = %body.id(), ?reason, "an orchestration is blocked");
        body.resident = None;
        let mut guest = guest::lock(&body.guest);
        guest.orchestration.block(reason);
        guest.orchestration.start_over();
    }
}

/// The code trapped. While it only repeats what it did before, that is not
/// its end: then it did not trap.
fn trapped(guest: &mut Guest, failure: Failure) -> Result<(), Mismatch> {
    if guest.orchestration.is_replaying() {
        return Err(Mismatch {
            position: 0,
            journal: "no trap".into(),
            code: format!("nothing more, and ended with {failure}"),
        });
    }
    guest.orchestration.returned(Err(failure))
}
