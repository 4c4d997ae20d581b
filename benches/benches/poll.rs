//! `poll` under criterion: the question is told in the module of that name.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use stoppable_benches::poll;

fn bench(criterion: &mut Criterion) {
    common::bench(criterion, "poll", poll::contenders());
}

criterion_group!(benches, bench);
criterion_main!(benches);
