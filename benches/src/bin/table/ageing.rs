//! The lines about pools that have done many tasks.

use crate::line::{Line, Verdict, bytes, nanoseconds, ratio};
use crate::options::Options;
use crate::rounds::{self, Conditions, Effort, Figures};
use std::fmt::Write as _;
use stoppable_benches::growth;
use stoppable_benches::kit::Contender;

/// Tasks that are timed together.
const TIMED: usize = 20 * growth::BATCH;

/// What a task took in the old pools and in the young ones, when the old ones had done so many.
struct Age {
    power: u32,
    old: Vec<Figures>,
    young: Vec<Figures>,
}

impl Age {
    /// Takes rounds in which the old pools and the young ones take turns. `done` is how many tasks
    /// the old ones have done before, and after.
    fn take(
        power: u32,
        old: &mut [Contender],
        done: &mut usize,
        options: &Options,
    ) -> (Age, Conditions) {
        let target = 10_usize.pow(power);
        if target > *done {
            old.iter_mut().for_each(|old| {
                old.run(target - *done);
            });
            *done = target;
        }
        let mut young = growth::pools();
        young.iter_mut().for_each(|young| {
            young.run(TIMED);
        });
        let all = old.iter().chain(&young);
        let mut figures: Vec<Figures> = all.map(|it| Figures::new(it.name, it.class)).collect();
        let mut runs = 0;
        let conditions = rounds::take(&mut figures, Effort::of(options.rounds), |place| {
            runs += 1;
            let contender = match place.checked_sub(old.len()) {
                None => &mut old[place],
                Some(place) => &mut young[place],
            };
            contender.run(TIMED).as_nanos() as f64 / TIMED as f64
        });
        *done += TIMED * (runs / figures.len());
        let young = figures.split_off(old.len());
        let age = Age {
            power,
            old: figures,
            young,
        };
        (age, conditions)
    }
}

pub(crate) fn line(options: &Options) -> Line {
    let mut old = growth::pools();
    let (mut done, mut ages, mut conditions) = (0, Vec::new(), Conditions::default());
    for power in 3..=options.growth.ilog10() {
        let (age, its_conditions) = Age::take(power, &mut old, &mut done, options);
        ages.push(age);
        conditions.add(its_conditions);
    }
    let text = |place: usize| {
        let mut text = old[place].name.to_owned();
        for Age { power, old, .. } in &ages {
            let _ = write!(text, " 10^{power}: {}", nanoseconds(old[place].median()));
        }
        let _ = write!(text, " ({:.2})", growth_of(&ages, place));
        text
    };
    Line {
        work: "a task, after so many in one pool".to_owned(),
        round_trip: conditions.to_string(),
        ours: vec![text(0)],
        peers: (1..old.len()).map(text).collect(),
        verdicts: vec![Verdict {
            mark: "≤ 1.3 ×".to_owned(),
            value: growth_of(&ages, 0),
            limit: Some(1.3),
            text: ratio,
        }],
        ..Line::default()
    }
}

/// How much worse the pool is at its last age than a young one in the same rounds, or than itself
/// at its best age, whichever says less: the first depends on which processors the threads of the
/// two happen to share, the second on the modes of the machine then and now.
fn growth_of(ages: &[Age], place: usize) -> f64 {
    let Some(last) = ages.last() else {
        return f64::NAN;
    };
    let own = ages.iter().map(|age| age.old[place].median());
    let to_itself = last.old[place].median() / own.fold(f64::INFINITY, f64::min);
    let to_young = last.old[place].ratio_to(&last.young[place]);
    to_young.min(to_itself)
}

pub(crate) fn remains(options: &Options) -> Line {
    let left = growth::memory_after(options.growth);
    Line {
        work: format!("memory after 10^{} completed", options.growth.ilog10()),
        round_trip: "—".to_owned(),
        ours: vec![format!("pool {:+} B, report {} B", left.pool, left.report)],
        verdicts: vec![Verdict {
            mark: "report < 1 MiB".to_owned(),
            value: left.report as f64,
            limit: Some(f64::from((1 << 20) - 1)),
            text: bytes,
        }],
        ..Line::default()
    }
}
