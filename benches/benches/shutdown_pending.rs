//! `shutdown_pending` under criterion: the question is told in the module of that name.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use stoppable_benches::shutdown_pending;

fn bench(criterion: &mut Criterion) {
    common::bench(
        criterion,
        "shutdown_pending",
        shutdown_pending::contenders(),
    );
}

criterion_group!(benches, bench);
criterion_main!(benches);
