//! Going wrong on purpose.

use std::time::Duration;

use sagahost::{ActivityContext, Failure, info};

use crate::types::Fault;

/// Strikes before the work is done, unless the fault is one for afterwards.
pub(crate) fn before(ctx: &ActivityContext, fault: Option<Fault>) -> Result<(), Failure> {
    let Some(fault) = fault else { return Ok(()) };
    match fault {
        Fault::Fail => Err(Failure::permanent("injected-failure", "the order said to fail")),
        Fault::FailAlways => {
            Err(Failure::transient("injected-failure", "the order said to fail each time"))
        }
        Fault::Flaky if ctx.attempt() <= 2 => {
            let message =
                format!("the order said to fail twice; this is attempt {}", ctx.attempt());
            Err(Failure::transient("injected-failure", message))
        }
        Fault::Flaky | Fault::TrapAfter => Ok(()),
        Fault::Hang => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
        Fault::Spin => {
            let mut n: u64 = 0;
            loop {
                n = std::hint::black_box(n.wrapping_add(1));
            }
        }
        Fault::Trap => panic!("the order said to trap"),
        Fault::Memory => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(vec![1; 1 << 20]);
                std::hint::black_box(&hoard);
            }
        }
        Fault::Output => {
            Err(Failure::transient("injected-failure", "far too much ".repeat(8 << 20)))
        }
        Fault::Log => loop {
            println!("the order said to write to the log without end");
            info!(ctx, "the order said to write to the log without end");
        },
    }
}

/// Strikes after the work is done, on the first attempt.
pub(crate) fn after(ctx: &ActivityContext, fault: Option<Fault>) {
    if fault == Some(Fault::TrapAfter) && ctx.attempt() == 1 {
        panic!("the order said to trap after the work is done");
    }
}
