//! `growth` under criterion: submit and collect, so many at once, on a pool of their own,
//! and beside it a peer, to show what the allocator and the memory do.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::time::Duration;
use stoppable_benches::submit_collect;

fn bench(criterion: &mut Criterion) {
    let mut contenders = submit_collect::contenders();
    contenders.retain(|it| ["ours", "threadpool+oneshot"].contains(&it.name));
    let mut group = criterion.benchmark_group("growth");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(2));
    for tasks in [1_000, 10_000, 100_000, 1_000_000] {
        group.throughput(Throughput::Elements(tasks as u64));
        for contender in &mut contenders {
            group.bench_function(BenchmarkId::new(contender.name, tasks), |bencher| {
                bencher.iter_custom(|times| (0..times).map(|_| contender.run(tasks)).sum());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
