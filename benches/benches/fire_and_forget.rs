//! `fire_and_forget` under criterion: the question is told in the module of that name.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use stoppable_benches::fire_and_forget;

fn bench(criterion: &mut Criterion) {
    common::bench(criterion, "fire_and_forget", fire_and_forget::contenders());
}

criterion_group!(benches, bench);
criterion_main!(benches);
