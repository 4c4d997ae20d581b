//! `round_trip` under criterion: the question is told in the module of that name.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use stoppable_benches::round_trip;

fn bench(criterion: &mut Criterion) {
    common::bench(criterion, "round_trip", round_trip::contenders());
}

criterion_group!(benches, bench);
criterion_main!(benches);
