//! The whole table, as Markdown.
//!
//! `table [ROW…] [--quick] [--rounds R] [--n N]`. Each round runs every contender of a row in turn,
//! and begins with the next one each time. Figures are medians of the rounds; a ratio is the median
//! of the rounds' ratios, so that it holds when the machine's speed drifts.

use std::env;
use std::fmt::Write as _;
use std::process::ExitCode;
use stoppable_benches::alloc::Counting;
use stoppable_benches::kit::{Class, median};
use stoppable_benches::rows::{Against, Mark, ROWS, Row, Unit};
use stoppable_benches::{growth, memory, submit_collect};

#[global_allocator]
static ALLOC: Counting = Counting;

struct Options {
    rows: Vec<String>,
    rounds: usize,
    n: usize,
    growth: usize,
}

impl Options {
    fn parse() -> Option<Options> {
        let mut options = Options {
            rows: Vec::new(),
            rounds: 7,
            n: 200_000,
            growth: 10_000_000,
        };
        let mut args = env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--quick" => {
                    options.rounds = 3;
                    options.n = 20_000;
                    options.growth = 100_000;
                }
                "--rounds" => options.rounds = args.next()?.parse().ok()?,
                "--n" => options.n = args.next()?.parse().ok()?,
                row if is_row(row) => options.rows.push(arg),
                _ => return None,
            }
        }
        (options.rounds > 0 && options.n > 0).then_some(options)
    }

    fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|wanted| wanted == row)
    }
}

fn is_row(key: &str) -> bool {
    key == "memory" || key == "growth" || ROWS.iter().any(|row| row.key == key)
}

fn main() -> ExitCode {
    let Some(options) = Options::parse() else {
        eprintln!("usage: table [ROW…] [--quick] [--rounds R] [--n N], where a row is one of");
        for row in ROWS {
            eprintln!("  {}", row.key);
        }
        eprintln!("  memory\n  growth");
        return ExitCode::FAILURE;
    };
    println!("{} tasks, {} rounds\n", options.n, options.rounds);
    println!("| work | ours | peers | ÷ best cancellable | ÷ best plain | mark | ratio | met |");
    println!("|---|---|---|---|---|---|---|---|");
    for row in ROWS.iter().filter(|row| options.wants(row.key)) {
        println!("{}", times(row, &options));
    }
    if options.wants("memory") {
        println!("{}", footprints(&options));
    }
    if options.wants("growth") {
        println!("{}", ageing(&options));
        println!("{}", crowding(&options));
        println!("{}", remains(&options));
    }
    ExitCode::SUCCESS
}

/// A contender's name, class, and nanoseconds for each of what is counted, round by round.
struct Figures {
    name: &'static str,
    class: Class,
    rounds: Vec<f64>,
}

impl Figures {
    fn median(&self) -> f64 {
        median(&self.rounds)
    }

    /// Of ours to it, within a round.
    fn ratio(&self, ours: &Figures) -> f64 {
        let pairs = ours.rounds.iter().zip(&self.rounds);
        let ratios: Vec<f64> = pairs.map(|(ours, theirs)| ours / theirs).collect();
        median(&ratios)
    }
}

fn times(row: &Row, options: &Options) -> String {
    let mut contenders = (row.contenders)();
    let times = row.unit.times(options.n);
    let rounds = match row.unit {
        Unit::Second => options.rounds.min(3),
        _ => options.rounds,
    };
    let mut figures: Vec<Figures> = contenders
        .iter()
        .map(|contender| Figures {
            name: contender.name,
            class: contender.class,
            rounds: Vec::new(),
        })
        .collect();
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let place = (round + turn) % contenders.len();
            let took = contenders[place].run(times);
            let each = took.as_nanos() as f64 / times as f64;
            figures[place].rounds.push(each);
        }
    }
    let ours = figures.iter().find(|it| it.class == Class::Ours);
    let ours = ours.expect("we are in every row");
    let best = |against: Against| {
        let admitted = contenders.iter().zip(&figures);
        admitted
            .filter(|(contender, _)| against.admits(contender))
            .map(|(_, figures)| figures)
            .min_by(|a, b| a.median().total_cmp(&b.median()))
    };
    let to_best = |against| match best(against) {
        Some(peer) => format!("{:.2} ({})", peer.ratio(ours), peer.name),
        None => "—".to_owned(),
    };
    let reached = |mark: &Mark| match mark.against {
        Against::Nanoseconds => ours.median(),
        against => best(against).map_or(f64::NAN, |peer| peer.ratio(ours)),
    };
    let (mut marks, mut ratios, mut met) = (Vec::new(), Vec::new(), Vec::new());
    for mark in row.marks {
        marks.push(mark.to_string());
        ratios.push(match mark.against {
            Against::Nanoseconds => nanoseconds(reached(mark)),
            _ => format!("{:.2}", reached(mark)),
        });
        met.push(yes(reached(mark) <= mark.factor));
    }
    let one_of = |ours: bool| -> String {
        let these = figures
            .iter()
            .filter(|it| (it.class == Class::Ours) == ours);
        let texts: Vec<String> = these.map(figure).collect();
        texts.join("<br>")
    };
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} |",
        row.title,
        one_of(true),
        one_of(false),
        to_best(Against::BestCancellable),
        to_best(Against::BestPlain),
        marks.join("<br>"),
        ratios.join("<br>"),
        met.join("<br>"),
    )
}

fn figure(figures: &Figures) -> String {
    let class = match figures.class {
        Class::Ours | Class::Plain => "",
        Class::Cancellable => " (c)",
        Class::Limit => " (limit)",
    };
    format!("{}{class} {}", figures.name, nanoseconds(figures.median()))
}

fn nanoseconds(n: f64) -> String {
    match n {
        n if n < 100.0 => format!("{n:.1} ns"),
        n if n < 1e4 => format!("{n:.0} ns"),
        n if n < 1e6 => format!("{:.1} µs", n / 1e3),
        n => format!("{:.2} ms", n / 1e6),
    }
}

fn yes(met: bool) -> &'static str {
    if met { "yes" } else { "no" }
}

fn footprints(options: &Options) -> String {
    let mut ours = String::new();
    let mut peers = String::new();
    let mut met = false;
    let mut bytes = Vec::new();
    let mut ours_bytes = 0.0;
    for mut contender in memory::contenders() {
        let took = contender.run(options.n);
        let text = format!(
            "{} {:.2}, {:.0} B",
            contender.name, took.allocations, took.bytes
        );
        if contender.class == Class::Ours {
            ours = text;
            ours_bytes = took.bytes;
            met = took.allocations < 1.05 && took.bytes <= 112.5;
        } else {
            let class = match contender.class {
                Class::Cancellable => " (c)",
                _ => "",
            };
            let _ = write!(peers, "{text}{class}<br>");
            bytes.push((contender.class, took.bytes));
        }
    }
    let best = |class| {
        let of_class = bytes.iter().filter(|(it, _)| *it == class);
        let best = of_class.map(|(_, bytes)| *bytes).min_by(f64::total_cmp);
        best.map_or(f64::NAN, |best| ours_bytes / best)
    };
    format!(
        "| memory of a queued task | {ours} | {} | {:.2} | {:.2} | one allocation, ≤ 112 B | | {} |",
        peers.trim_end_matches("<br>"),
        best(Class::Cancellable),
        best(Class::Plain),
        yes(met),
    )
}

fn ageing(options: &Options) -> String {
    let (mut ours, mut peers, mut worst) = (String::new(), String::new(), 0.0);
    for mut contender in growth::contenders() {
        let ages = contender.run(options.growth);
        let each: Vec<f64> = ages.iter().map(|it| it.each.as_nanos() as f64).collect();
        let growth = last_to_best(&each);
        let mut text = contender.name.to_owned();
        for age in &ages {
            let each = nanoseconds(age.each.as_nanos() as f64);
            let _ = write!(text, " {}: {each}", power(age.tasks));
        }
        let _ = write!(text, " ({growth:.2})");
        if contender.class == Class::Ours {
            ours = text;
            worst = growth;
        } else {
            peers = text;
        }
    }
    format!(
        "| a task, after so many in one pool | {ours} | {peers} | | | ≤ 1.3 × | {worst:.2} | {} |",
        yes(worst <= 1.3)
    )
}

fn crowding(options: &Options) -> String {
    let mut contender = submit_collect::contenders().swap_remove(0);
    let mut text = contender.name.to_owned();
    let mut each = Vec::new();
    let mut n = 1_000;
    while n <= options.growth {
        let rounds = (1_000_000 / n).clamp(1, options.rounds * 10);
        let times: Vec<f64> = (0..rounds)
            .map(|_| contender.run(n).as_nanos() as f64 / n as f64)
            .collect();
        each.push(median(&times));
        let _ = write!(text, " {}: {}", power(n), nanoseconds(median(&times)));
        n *= 10;
    }
    let growth = last_to_best(&each);
    format!(
        "| submit + collect, so many at once | {text} | | | | ≤ 1.3 × | {growth:.2} | {} |",
        yes(growth <= 1.3)
    )
}

/// How much worse the last one is than the best one.
fn last_to_best(each: &[f64]) -> f64 {
    let best = each.iter().copied().fold(f64::INFINITY, f64::min);
    each.last().map_or(f64::NAN, |last| last / best)
}

fn power(n: usize) -> String {
    format!("10^{}", n.ilog10())
}

fn remains(options: &Options) -> String {
    let left = growth::memory_after(options.growth);
    format!(
        "| memory after {} completed | pool {:+} B, report {} B | | | | report < 1 MiB | | {} |",
        power(options.growth),
        left.pool,
        left.report,
        yes(left.report < 1 << 20)
    )
}
