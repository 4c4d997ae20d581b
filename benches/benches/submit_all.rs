//! `submit_all` under criterion: the question is told in the module of that name.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use stoppable_benches::submit_all;

fn bench(criterion: &mut Criterion) {
    common::bench(criterion, "submit_all", submit_all::contenders());
}

criterion_group!(benches, bench);
criterion_main!(benches);
