//! The lines that are allocations and bytes.

use crate::line::{Line, Verdict, bytes, ratio};
use crate::options::Options;
use crate::times::sign;
use stoppable_benches::kit::{Class, Contender};
use stoppable_benches::memory::{self, Footprint};

pub(crate) fn single(options: &Options) -> Line {
    // The queue allocates now and then too.
    let marks = [("one allocation", 1.05), ("≤ 112 B", 112.5)];
    let work = "memory of a queued task";
    line(work, memory::contenders(), marks, options)
}

pub(crate) fn batch(options: &Options) -> Line {
    let marks = [("≤ 0.1 allocation", 0.1), ("≤ 40 B", 40.0)];
    let work = "memory of a queued task, in a batch";
    line(work, memory::batch_contenders(), marks, options)
}

fn line(
    work: &str,
    contenders: Vec<Contender<Footprint>>,
    marks: [(&str, f64); 2],
    options: &Options,
) -> Line {
    let figures: Vec<(&str, Class, Footprint)> = contenders
        .into_iter()
        .map(|mut it| (it.name, it.class, it.run(options.n)))
        .collect();
    let ours = figures[0].2;
    let texts = |ours: bool| {
        let these = figures
            .iter()
            .filter(move |(_, class, _)| (*class == Class::Ours) == ours);
        these.map(|(name, class, took)| text(name, *class, took))
    };
    let to_best = |class| {
        let of_class = figures.iter().filter(|(_, it, _)| *it == class);
        let best = of_class.map(|(.., took)| took.bytes).min_by(f64::total_cmp);
        best.map_or("—".to_owned(), |best| ratio(ours.bytes / best))
    };
    let [allocations, size] = marks;
    Line {
        work: work.to_owned(),
        round_trip: "—".to_owned(),
        ours: texts(true).collect(),
        peers: texts(false).collect(),
        to_cancellable: to_best(Class::Cancellable),
        to_plain: to_best(Class::Plain),
        verdicts: vec![
            verdict(allocations, ours.allocations, ratio),
            verdict(size, ours.bytes, bytes),
        ],
    }
}

fn text(name: &str, class: Class, took: &Footprint) -> String {
    let Footprint { allocations, bytes } = took;
    format!("{name}{} {allocations:.2}, {bytes:.0} B", sign(class))
}

fn verdict((mark, limit): (&str, f64), value: f64, text: fn(f64) -> String) -> Verdict {
    Verdict {
        mark: mark.to_owned(),
        value,
        limit: Some(limit),
        text,
    }
}
