//! What several tables had for each mark.

use crate::line::{Line, Verdict};
use std::fmt;
use stoppable_benches::kit::median;

/// The marks, in the order of the table.
#[derive(Default)]
pub(crate) struct Summary {
    entries: Vec<Entry>,
}

struct Entry {
    work: String,
    /// One of each table.
    verdicts: Vec<Verdict>,
}

impl Summary {
    pub(crate) fn add(&mut self, line: Line) {
        for verdict in line.verdicts {
            let known = self
                .entries
                .iter_mut()
                .find(|it| it.work == line.work && it.verdicts[0].mark == verdict.mark);
            match known {
                Some(entry) => entry.verdicts.push(verdict),
                None => self.entries.push(Entry {
                    work: line.work.clone(),
                    verdicts: vec![verdict],
                }),
            }
        }
    }
}

impl Entry {
    /// The middle one of the verdicts.
    fn median(&self) -> Verdict {
        let values: Vec<f64> = self.verdicts.iter().map(|it| it.value).collect();
        Verdict {
            value: median(&values),
            ..self.verdicts[0].clone()
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.entries.first().map_or(0, |it| it.verdicts.len());
        let heads: String = (1..=runs).map(|run| format!(" run {run} |")).collect();
        writeln!(f, "| work | mark |{heads} median | met |")?;
        write!(f, "|---|---|{}---|---|", "---|".repeat(runs))?;
        for entry in &self.entries {
            let median = entry.median();
            write!(f, "\n| {} | {} |", entry.work, median.mark)?;
            for verdict in &entry.verdicts {
                write!(f, " {} |", (verdict.text)(verdict.value))?;
            }
            write!(f, " {} | {} |", (median.text)(median.value), median.met())?;
        }
        Ok(())
    }
}
