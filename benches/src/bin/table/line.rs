//! One line of the table.

use std::fmt;

pub(crate) const HEAD: &str = "\
| work | line round trip | ours | peers | ÷ best cancellable | ÷ best plain | mark | ratio | met |
|---|---|---|---|---|---|---|---|---|";

/// What is in the line, cell by cell.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) work: String,
    pub(crate) round_trip: String,
    pub(crate) ours: Vec<String>,
    pub(crate) peers: Vec<String>,
    pub(crate) to_cancellable: String,
    pub(crate) to_plain: String,
    pub(crate) verdicts: Vec<Verdict>,
}

/// A mark, and how we did.
#[derive(Clone)]
pub(crate) struct Verdict {
    pub(crate) mark: String,
    /// What is held against it.
    pub(crate) value: f64,
    /// The most it may be. `None`: it is only to be known.
    pub(crate) limit: Option<f64>,
    /// How such a value is written.
    pub(crate) text: fn(f64) -> String,
}

impl Verdict {
    pub(crate) fn met(&self) -> &'static str {
        match self.limit {
            Some(limit) if self.value <= limit => "yes",
            Some(_) => "no",
            None => "",
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_each = |text: &dyn Fn(&Verdict) -> String| -> String {
            let texts: Vec<String> = self.verdicts.iter().map(text).collect();
            texts.join("<br>")
        };
        write!(f, "| {} | {} ", self.work, self.round_trip)?;
        write!(f, "| {} ", self.ours.join("<br>"))?;
        write!(f, "| {} ", self.peers.join("<br>"))?;
        write!(f, "| {} | {} ", self.to_cancellable, self.to_plain)?;
        write!(f, "| {} ", of_each(&|verdict| verdict.mark.clone()))?;
        write!(f, "| {} ", of_each(&|it| (it.text)(it.value)))?;
        write!(f, "| {} |", of_each(&|verdict| verdict.met().to_owned()))
    }
}

pub(crate) fn nanoseconds(n: f64) -> String {
    match n {
        n if n < 100.0 => format!("{n:.1} ns"),
        n if n < 1e4 => format!("{n:.0} ns"),
        n if n < 1e6 => format!("{:.1} µs", n / 1e3),
        n => format!("{:.2} ms", n / 1e6),
    }
}

pub(crate) fn ratio(n: f64) -> String {
    format!("{n:.2}")
}

pub(crate) fn bytes(n: f64) -> String {
    format!("{n:.0} B")
}
