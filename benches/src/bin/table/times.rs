//! The lines that are times.

use crate::line::{Line, Verdict, nanoseconds, ratio};
use crate::options::Options;
use crate::rounds::{self, Effort, Figures};
use stoppable_benches::kit::Class;
use stoppable_benches::rows::{Against, Mark, Row, Unit};

pub(crate) fn line(row: &Row, options: &Options) -> Line {
    let mut contenders = (row.contenders)();
    let times = row.unit.times(options.n);
    let mut figures: Vec<Figures> = contenders
        .iter()
        .map(|contender| Figures::new(contender.name, contender.class))
        .collect();
    let conditions = rounds::take(&mut figures, effort(row, options), |place| {
        contenders[place].run(times).as_nanos() as f64 / times as f64
    });
    Line {
        work: row.title.to_owned(),
        round_trip: conditions.to_string(),
        ours: texts(&figures, |class| class == Class::Ours),
        peers: texts(&figures, |class| class != Class::Ours),
        to_cancellable: to_best(&figures, Against::BestCancellable),
        to_plain: to_best(&figures, Against::BestPlain),
        verdicts: row.marks.iter().map(|mark| held(&figures, mark)).collect(),
    }
}

/// Seconds of idleness are not taken again: they are long, and nobody works in them.
fn effort(row: &Row, options: &Options) -> Effort {
    match row.unit {
        Unit::Seconds => Effort {
            rounds: 1,
            tries: 1,
        },
        _ => Effort::of(options.rounds),
    }
}

fn texts(figures: &[Figures], of: impl Fn(Class) -> bool) -> Vec<String> {
    figures
        .iter()
        .filter(|figures| of(figures.class))
        .map(text)
        .collect()
}

fn text(figures: &Figures) -> String {
    let Figures { name, class, .. } = figures;
    format!("{name}{} {}", sign(*class), nanoseconds(figures.median()))
}

/// What is written behind the name of such a contender.
pub(crate) fn sign(class: Class) -> &'static str {
    match class {
        Class::Ours | Class::Plain => "",
        Class::Cancellable => " (c)",
        Class::Limit => " (limit)",
    }
}

/// Our first figure.
pub(crate) fn ours(figures: &[Figures]) -> &Figures {
    let ours = figures.iter().find(|it| it.class == Class::Ours);
    ours.expect("we are in every row")
}

/// The best of those against whom we are held.
pub(crate) fn best(figures: &[Figures], against: Against) -> Option<&Figures> {
    figures
        .iter()
        .filter(|it| against.admits(it.name, it.class))
        .min_by(|a, b| a.median().total_cmp(&b.median()))
}

pub(crate) fn to_best(figures: &[Figures], against: Against) -> String {
    match best(figures, against) {
        Some(peer) => format!("{:.2} ({})", ours(figures).ratio_to(peer), peer.name),
        None => "—".to_owned(),
    }
}

fn held(figures: &[Figures], mark: &Mark) -> Verdict {
    let ours = ours(figures);
    let (value, text): (f64, fn(f64) -> String) = match mark.against {
        Against::Nanoseconds => (ours.median(), nanoseconds),
        against => {
            let best = best(figures, against);
            (best.map_or(f64::NAN, |best| ours.ratio_to(best)), ratio)
        }
    };
    Verdict {
        mark: mark.to_string(),
        value,
        limit: mark.factor,
        text,
    }
}
