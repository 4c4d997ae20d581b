//! How every row is put to criterion: one iteration is a batch of tasks, on a pool of its own.

use criterion::{Criterion, Throughput};
use std::time::Duration;
use stoppable_benches::kit::Contender;

/// Tasks in one iteration.
const BATCH: usize = 10_000;

/// Benches all contenders of one row.
pub(crate) fn bench(criterion: &mut Criterion, row: &str, contenders: Vec<Contender>) {
    let mut group = criterion.benchmark_group(row);
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .throughput(Throughput::Elements(BATCH as u64));
    for mut contender in contenders {
        group.bench_function(contender.name, |bencher| {
            bencher.iter_custom(|iterations| (0..iterations).map(|_| contender.run(BATCH)).sum());
        });
    }
    group.finish();
}
