//! `cargo run --release -p sagahost-store --example raw_rate -- DIR [SAGAS] [BATCH] [CHUNK_BYTES]`:
//! how many sagas a second the store can take, alone.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("give a directory that may be written to")?);
    let mut number = |default| arguments.next().map_or(Ok(default), |text| text.parse::<u64>());
    let (sagas, batch, chunk) = (number(100_000)?, number(32)?, number(400)?);
    let rate = sagahost_store::bench::raw_rate(&dir, sagas, batch as usize, chunk as usize)?;
    println!(
        "{:.0} sagas/s, {:.1} µs each; {} chunks in {} commits, {:.0} µs a commit",
        rate.per_second(),
        1e6 / rate.per_second(),
        rate.counters.chunks(),
        rate.counters.commits,
        rate.elapsed.as_secs_f64() * 1e6 / rate.counters.commits as f64,
    );
    Ok(())
}
