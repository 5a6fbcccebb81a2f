//! Sizes and durations as people read them. How they are written is the
//! business of [`sagahost_wasm::ByteSize`] and [`sagahost_wasm::HumanDuration`].

use std::time::Duration;

/// A number of bytes.
pub(crate) fn size(bytes: u64) -> String {
    let of = |unit: u64| bytes as f64 / unit as f64;
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", of(1 << 10)),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", of(1 << 20)),
        _ => format!("{:.2} GiB", of(1 << 30)),
    }
}

/// How long something took, to three digits or so.
pub(crate) fn took(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        ..0.001 => format!("{:.0} µs", seconds * 1e6),
        ..0.1 => format!("{:.1} ms", seconds * 1e3),
        ..1.0 => format!("{:.0} ms", seconds * 1e3),
        ..120.0 => format!("{seconds:.1} s"),
        _ => format!("{:.0} min", seconds / 60.0),
    }
}

/// The same of whole milliseconds, as the journal has them: 0 of them is no
/// time at all only to its clock.
pub(crate) fn took_millis(millis: u64) -> String {
    match millis {
        0 => "< 1 ms".to_owned(),
        1..100 => format!("{millis} ms"),
        _ => took(Duration::from_millis(millis)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_to_three_digits_or_so() {
        assert_eq!([size(512), size(65_536), size(512 << 20)], ["512 B", "64.0 KiB", "512.0 MiB"]);
        let shown = [100, 5_500, 250_000, 3_200_000, 600_000_000]
            .map(|micros| took(Duration::from_micros(micros)));
        assert_eq!(shown, ["100 µs", "5.5 ms", "250 ms", "3.2 s", "10 min"]);
        assert_eq!([0, 5, 250, 3_200].map(took_millis), ["< 1 ms", "5 ms", "250 ms", "3.2 s"]);
    }
}
