//! `cargo run --release -p sagahost-store --example fill -- DIR [INSTANCES]`: makes
//! a store with so many instances, to list them.

use std::path::PathBuf;
use std::time::SystemTime;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("give a directory that is empty or not there")?);
    let instances = arguments.next().map_or(Ok(1_000_000), |text| text.parse::<u64>())?;
    let now = SystemTime::UNIX_EPOCH.elapsed()?.as_millis() as u64;
    sagahost_store::bench::fill(&dir, instances, now)?;
    println!("{instances} instances");
    Ok(())
}
