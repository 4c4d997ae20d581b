//! `oversubscribed` under criterion: the question is told in the module of that name.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use stoppable_benches::oversubscribed::{THREADS, WORK};

fn bench(criterion: &mut Criterion) {
    for work in &WORK {
        for threads in THREADS {
            let group = format!("oversubscribed, {}, {threads} threads", work.title);
            common::bench(criterion, &group, (work.contenders)(threads));
        }
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
