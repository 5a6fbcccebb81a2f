//! What the tests of several crates need: the guests, built.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const TARGET: &str = "wasm32-wasip2";

/// One at a time: built together, cargo would give each the features that any
/// of them asks for.
const PACKAGES: [&str; 4] = ["guest-activities", "guest-orchestrator", "test-guests", "test-sagas"];

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or(root)
}

/// The folder with the guests' components, which are built if they are not.
///
/// # Panics
/// When they cannot be built; the message says why.
pub fn guests() -> &'static Path {
    static GUESTS: OnceLock<PathBuf> = OnceLock::new();
    GUESTS.get_or_init(|| {
        let _lock = lock();
        for package in PACKAGES {
            build_guest(&["--target-dir", "target/guests", "-p", package]);
        }
        root().join("target/guests").join(TARGET).join("guest")
    })
}

/// The component of the tests' guests with a feature of theirs, which is built
/// if it is not.
///
/// # Panics
/// When it cannot be built; the message says why.
#[must_use]
pub fn guest_with(feature: &str) -> PathBuf {
    // A folder for each: two features in one would be built anew in turns.
    let dir = format!("target/guests-{feature}");
    let _lock = lock();
    build_guest(&["--target-dir", &dir, "-p", "test-guests", "--features", feature]);
    root().join(dir).join(TARGET).join("guest/test_guests.wasm")
}

/// Several test programs may want the same at once. Without the lock they
/// would still get it, only with more work.
fn lock() -> Option<File> {
    let lock = root().join("target/guests.lock");
    let made = std::fs::create_dir_all(root().join("target")).and_then(|()| File::create(&lock));
    made.and_then(|lock| lock.lock().map(|()| lock)).ok()
}

/// Builds guests with cargo, with these arguments beside those that all
/// guests are built with.
fn build_guest(arguments: &[&str]) {
    ensure_target();
    let built = run(Command::new("cargo")
        .args(["build", "--locked", "--target", TARGET, "--profile", "guest"])
        .args(arguments)
        .current_dir(root()));
    assert!(built.status.success(), "the guests do not build: {}", text(&built.stderr));
}

/// Fetches the standard library for the guests' target, if it is not there.
fn ensure_target() {
    let sysroot = run(Command::new("rustc").args(["--print", "sysroot"]));
    let libraries = Path::new(text(&sysroot.stdout).trim()).join("lib/rustlib").join(TARGET);
    if libraries.is_dir() {
        return;
    }
    let added = run(Command::new("rustup").args(["target", "add", TARGET]));
    assert!(
        added.status.success(),
        "the guests need Rust's target {TARGET}, and it cannot be had: {}",
        text(&added.stderr)
    );
}

fn run(command: &mut Command) -> Output {
    // A test is not the cargo project that its child is to build.
    command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_PKG_NAME");
    match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{command:?} does not start: {error}"),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
