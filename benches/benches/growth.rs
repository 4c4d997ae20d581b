//! `growth` under criterion: submit and collect, so many at once, on a pool of their own.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::time::Duration;
use stoppable_benches::submit_collect;

fn bench(criterion: &mut Criterion) {
    let mut ours = submit_collect::contenders().swap_remove(0);
    let mut group = criterion.benchmark_group("growth");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(2));
    for tasks in [1_000, 10_000, 100_000, 1_000_000] {
        group.throughput(Throughput::Elements(tasks as u64));
        group.bench_function(BenchmarkId::new(ours.name, tasks), |bencher| {
            bencher.iter_custom(|iterations| (0..iterations).map(|_| ours.run(tasks)).sum());
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
