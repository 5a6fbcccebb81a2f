//! Taking what there is, without end.

use std::hint::black_box;

pub(crate) fn spin() {
    let mut n: u64 = 0;
    while black_box(true) {
        n = black_box(n.wrapping_add(1));
    }
}

pub(crate) fn hoard() {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    while black_box(true) {
        hoard.push(vec![1; 1 << 20]);
        black_box(&hoard);
    }
}
