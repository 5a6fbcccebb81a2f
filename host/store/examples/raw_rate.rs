//! `cargo run --release -p sagahost-store --example raw_rate -- DIR [SAGAS] [BATCH] [CHUNK_BYTES] [random]`:
//! how many sagas a second the store can take, alone. With `random` their ids are in
//! no order. `DIR` may be a store that the example `fill` has filled.

use std::path::PathBuf;

use sagahost_store::bench::{RawLoad, raw_rate_of};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("give a directory that may be written to")?);
    let mut number = |default| arguments.next().map_or(Ok(default), |text| text.parse::<u64>());
    let (sagas, batch, chunk) = (number(100_000)?, number(32)?, number(400)?);
    let (batch, chunk_bytes) = (batch as usize, chunk as usize);
    let random_ids = arguments.next().is_some_and(|order| order == "random");
    let rate = raw_rate_of(&dir, RawLoad { sagas, batch, chunk_bytes, random_ids })?;
    println!(
        "{:.0} sagas/s, {:.1} µs each; {} chunks in {} commits, {:.0} µs a commit, {:.1} ms the \
         longest; {} MiB of log at most",
        rate.per_second(),
        1e6 / rate.per_second(),
        rate.counters.chunks(),
        rate.counters.commits,
        rate.elapsed.as_secs_f64() * 1e6 / rate.counters.commits as f64,
        rate.longest.as_secs_f64() * 1e3,
        rate.log_bytes >> 20,
    );
    Ok(())
}
