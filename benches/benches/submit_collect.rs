//! `submit_collect` under criterion: the question is told in the module of that name.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use stoppable_benches::submit_collect;

fn bench(criterion: &mut Criterion) {
    common::bench(criterion, "submit_collect", submit_collect::contenders());
}

criterion_group!(benches, bench);
criterion_main!(benches);
