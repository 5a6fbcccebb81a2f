//! From the error that ended a guest to what a person is told.

use sagahost_core::{Failure, FailureKind};
use wasmtime::{FrameInfo, PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::capture::shorten;
use crate::guest::{Misuse, Stopped, memory_failure};
use crate::meter::{CpuLimitReached, MemoryLimit};

/// Frames of the guest that are named in a message.
const FRAMES: usize = 3;

/// The calls that are looked at for a recursion: as many as wasmtime collects.
const RECURSION: usize = 20;

/// What the guest wrote before has nothing to do with it, and is left out.
const STACK_OVERFLOW: &str =
    "stack overflow: its calls are nested too deeply (a recursion without end?)";

/// How a guest ended that did not return.
#[derive(Debug, PartialEq)]
pub(crate) enum End {
    Stopped(String),
    Failed(Failure),
}

/// What the error means. `last_words` is what the guest wrote to stderr at
/// the end: a panic's message is there, and nowhere else.
pub(crate) fn classify(
    error: &wasmtime::Error,
    memory: &MemoryLimit,
    last_words: Option<String>,
) -> End {
    if let Some(Stopped(reason)) = error.downcast_ref() {
        return End::Stopped(reason.clone());
    }
    if let Some(limit) = error.downcast_ref::<CpuLimitReached>() {
        return End::Failed(Failure::host(FailureKind::CpuLimit, limit.to_string()));
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return End::Failed(Failure::host(
            FailureKind::NotStarted,
            format!("there is no room for another instance: {error}"),
        ));
    }
    // Before any trap: a guest that does not get memory usually gives up.
    if let Some(failure) = memory_failure(memory) {
        return End::Failed(failure);
    }
    End::Failed(Failure::host(FailureKind::Trap, trap_message(error, last_words)))
}

fn trap_message(error: &wasmtime::Error, last_words: Option<String>) -> String {
    if let Some(Misuse(message)) = error.downcast_ref() {
        return message.clone();
    }
    let mut message = match (error.downcast_ref::<Trap>(), error.downcast_ref::<I32Exit>()) {
        (Some(Trap::StackOverflow), _) => return STACK_OVERFLOW.to_owned(),
        (Some(Trap::MemoryOutOfBounds), _) if is_recursion(error) => {
            return STACK_OVERFLOW.to_owned();
        }
        (Some(Trap::UnreachableCodeReached), _) if last_words.is_some() => "it panicked".to_owned(),
        (Some(trap), _) => trap.to_string(),
        (None, Some(I32Exit(status))) => {
            format!("it ended its process with status {status} instead of returning")
        }
        (None, None) => {
            let root = error.root_cause().to_string();
            let line = root.lines().next().unwrap_or_default();
            shorten(line, 500)
        }
    };
    if let Some(words) = last_words {
        message.push_str(": ");
        message.push_str(&words);
    }
    let frames: Vec<String> = frames(error)
        .iter()
        .filter_map(|frame| frame.func_name())
        .map(|name| shorten(name, 80))
        .take(FRAMES)
        .collect();
    if !frames.is_empty() {
        message.push_str(&format!(" (in {})", frames.join(" < ")));
    }
    message
}

fn frames(error: &wasmtime::Error) -> &[FrameInfo] {
    let backtrace = error.downcast_ref::<WasmBacktrace>();
    backtrace.map_or(&[], WasmBacktrace::frames)
}

/// Whether the innermost calls are a few functions over and over.
///
/// A guest's own stack is in its memory, usually at the beginning, where one
/// that is used up reaches out of bounds: a stack overflow by another name.
fn is_recursion(error: &wasmtime::Error) -> bool {
    let frames = frames(error);
    let mut functions: Vec<u32> = frames.iter().map(FrameInfo::func_index).collect();
    functions.sort_unstable();
    functions.dedup();
    frames.len() >= RECURSION && functions.len() <= RECURSION / 4
}
