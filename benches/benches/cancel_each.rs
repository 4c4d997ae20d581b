//! `cancel_each` under criterion: the question is told in the module of that name.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use stoppable_benches::cancel_each;

fn bench(criterion: &mut Criterion) {
    common::bench(criterion, "cancel_each", cancel_each::contenders());
}

criterion_group!(benches, bench);
criterion_main!(benches);
