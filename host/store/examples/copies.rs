//! `cargo run --release -p sagahost-store --example copies -- DIR ID COUNT [first-turn]`:
//! copies an instance of a store that no host is running on, so that there are very
//! many that wait for what it waits for. With `first-turn` the copies are as a crash
//! leaves those whose first steps have begun.

use std::path::PathBuf;

use sagahost_store::bench::{Copied, copies};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("give the data directory")?);
    let id = arguments.next().ok_or("give the id of an instance that is in it")?;
    let count = arguments.next().ok_or("say how many copies are wanted")?.parse::<u64>()?;
    let copied = match arguments.next().as_deref() {
        Some("first-turn") => Copied::FirstTurn,
        Some(other) => return Err(format!("{other} is not known; there is `first-turn`").into()),
        None => Copied::Whole,
    };
    let written = copies(&dir, &id, count, copied)?;
    if written < count {
        return Err(format!("there is no instance {id} with a journal in {}", dir.display()).into());
    }
    println!("{written} copies of {id}");
    Ok(())
}
