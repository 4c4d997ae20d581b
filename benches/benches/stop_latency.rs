//! `stop_latency` under criterion: the question is told in the module of that name.

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;
use stoppable_benches::kit::Contender;
use stoppable_benches::stop_latency;

/// Rounds in one iteration.
const ROUNDS: usize = 20;

fn bench(criterion: &mut Criterion) {
    group(criterion, "stop_polling", stop_latency::polling());
    group(criterion, "stop_waiting", stop_latency::waiting());
}

/// One iteration is some rounds; most of what they take is not part of the figure, so the time that
/// criterion is given to measure is short.
fn group(criterion: &mut Criterion, row: &str, contenders: Vec<Contender>) {
    let mut group = criterion.benchmark_group(row);
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(1))
        .measurement_time(Duration::from_millis(50));
    for mut contender in contenders {
        group.bench_function(contender.name, |bencher| {
            bencher.iter_custom(|iterations| {
                let run = |_| contender.run(ROUNDS) / ROUNDS as u32;
                (0..iterations).map(run).sum()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
