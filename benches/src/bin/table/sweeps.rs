//! The lines in which one number goes up (of tasks, of threads), and that say what this does to the
//! time of a task. In a round every contender meets every number.

use crate::line::{Line, Verdict, nanoseconds, ratio};
use crate::options::Options;
use crate::rounds::{self, Effort, Figures};
use crate::times::{best, sign, to_best};
use std::fmt::Write as _;
use stoppable_benches::kit::{Class, Contender, median};
use stoppable_benches::oversubscribed::{self, THREADS, Work};
use stoppable_benches::rows::Against;
use stoppable_benches::submit_collect;

/// What each contender took at each number.
struct Sweep {
    /// The numbers, as they are written.
    labels: Vec<String>,
    /// The contenders at the first number, then at the second, and so on.
    figures: Vec<Figures>,
    conditions: rounds::Conditions,
}

impl Sweep {
    /// `contenders` are those at each number; `run` runs one of them at the number of that place.
    fn take(
        labels: Vec<String>,
        mut contenders: Vec<Vec<Contender>>,
        effort: Effort,
        mut run: impl FnMut(&mut Contender, usize) -> f64,
    ) -> Sweep {
        let width = contenders[0].len();
        let mut figures: Vec<Figures> = contenders
            .iter()
            .flatten()
            .map(|contender| Figures::new(contender.name, contender.class))
            .collect();
        let conditions = rounds::take(&mut figures, effort, |cell| {
            let (number, place) = (cell / width, cell % width);
            run(&mut contenders[number][place], number)
        });
        Sweep {
            labels,
            figures,
            conditions,
        }
    }

    fn width(&self) -> usize {
        self.figures.len() / self.labels.len()
    }

    /// All contenders at the first number.
    fn first(&self) -> &[Figures] {
        &self.figures[..self.width()]
    }

    /// All contenders at the last number.
    fn last(&self) -> &[Figures] {
        &self.figures[self.figures.len() - self.width()..]
    }

    /// One contender at all numbers.
    fn of(&self, place: usize) -> impl Iterator<Item = &Figures> {
        self.figures.iter().skip(place).step_by(self.width())
    }

    /// How much worse it is at the last number than at the best one.
    fn last_to_best(&self, place: usize) -> f64 {
        let best = self
            .of(place)
            .min_by(|a, b| a.median().total_cmp(&b.median()));
        best.map_or(f64::NAN, |best| self.last()[place].ratio_to(best))
    }

    /// How much worse it is at its worst number than at the first one.
    fn worst_to_first(&self, place: usize) -> f64 {
        let first = &self.first()[place];
        let ratios = self.of(place).map(|it| it.ratio_to(first));
        ratios.fold(0.0, f64::max)
    }

    /// One contender, with what it took at all numbers, and how much worse it got.
    fn text(&self, place: usize, worse: f64) -> String {
        let Figures { name, class, .. } = &self.figures[place];
        let mut text = format!("{name}{}", sign(*class));
        for (label, figures) in self.labels.iter().zip(self.of(place)) {
            let _ = write!(text, " {label}: {}", nanoseconds(figures.median()));
        }
        let _ = write!(text, " ({worse:.2})");
        text
    }

    /// A line with all of them; the first contender is ours, and `worse` says how much worse one
    /// got.
    fn line(&self, work: String, worse: fn(&Sweep, usize) -> f64) -> Line {
        let text = |place| self.text(place, worse(self, place));
        Line {
            work,
            round_trip: self.conditions.to_string(),
            ours: vec![text(0)],
            peers: (1..self.width()).map(text).collect(),
            to_cancellable: to_best(self.last(), Against::BestCancellable),
            to_plain: to_best(self.last(), Against::BestPlain),
            verdicts: Vec::new(),
        }
    }
}

/// So many tasks at once, each time in a pool of its own.
pub(crate) fn crowding(options: &Options) -> Line {
    let powers = 3..=options.growth.ilog10();
    let sizes: Vec<usize> = powers.clone().map(|power| 10_usize.pow(power)).collect();
    let contenders = sizes.iter().map(|_| crowd()).collect();
    // A round takes seconds, so few of them, and not many more.
    let rounds = options.rounds.min(3);
    let effort = Effort {
        rounds,
        tries: rounds + 2,
    };
    let labels = powers.map(|power| format!("10^{power}")).collect();
    let sweep = Sweep::take(labels, contenders, effort, |contender, number| {
        let n = sizes[number];
        // What takes little time is done more often.
        let times = (1_000_000 / n).clamp(1, 20);
        let took: Vec<f64> = (0..times)
            .map(|_| contender.run(n).as_nanos() as f64 / n as f64)
            .collect();
        median(&took)
    });
    Line {
        verdicts: vec![Verdict {
            mark: "≤ 1.3 ×".to_owned(),
            value: sweep.last_to_best(0),
            limit: Some(1.3),
            text: ratio,
        }],
        ..sweep.line(
            "submit + collect, so many at once".to_owned(),
            Sweep::last_to_best,
        )
    }
}

/// Ours, and the best of those that cannot cancel, to show what the allocator and the memory do.
fn crowd() -> Vec<Contender> {
    let mut contenders = submit_collect::contenders();
    contenders.retain(|it| it.class == Class::Ours || it.name == "threadpool+oneshot");
    contenders
}

/// With more threads than processors.
pub(crate) fn oversubscribed(options: &Options) -> impl Iterator<Item = Line> {
    oversubscribed::WORK
        .iter()
        .map(|work| with_more_threads(work, options))
}

fn with_more_threads(work: &Work, options: &Options) -> Line {
    let contenders = THREADS.map(work.contenders).into();
    let n = options.n / 4;
    let labels = THREADS.map(|threads| threads.to_string()).into();
    let effort = Effort::of(options.rounds);
    let sweep = Sweep::take(labels, contenders, effort, |contender, _| {
        contender.run(n).as_nanos() as f64 / n as f64
    });
    let (fewest, most) = (THREADS[0], THREADS[THREADS.len() - 1]);
    let ours = &sweep.last()[0];
    let peer = best(sweep.last(), Against::BestPeer);
    let told = |mark, value| Verdict {
        mark,
        value,
        limit: None,
        text: ratio,
    };
    Line {
        verdicts: vec![
            told(
                format!("{most} to {fewest} threads"),
                ours.ratio_to(&sweep.first()[0]),
            ),
            told(
                format!("to the best at {most}"),
                peer.map_or(f64::NAN, |peer| ours.ratio_to(peer)),
            ),
        ],
        ..sweep.line(
            format!("{}, so many threads", work.title),
            Sweep::worst_to_first,
        )
    }
}
