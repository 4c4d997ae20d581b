//! The report as text: one line for a clean shutdown, a small table for any other.

use super::ledger::Entry;
use super::{ShutdownReport, Straggler};
use std::fmt;
use std::time::Duration;

/// How many tasks of a kind are printed by name.
const SHOWN: usize = 10;

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.headline(f)?;
        let stats = self.stats;
        if self.is_clean() {
            return Ok(());
        }
        let mut completed = String::new();
        if self.exceptions.late > 0 {
            completed = format!("  ({} although asked to stop)", self.exceptions.late);
        }
        let rows = [
            ("completed", stats.completed, completed.as_str()),
            ("cancelled", stats.cancelled, ""),
            ("never started", stats.never_started, ""),
            ("panicked", stats.panicked, ""),
            ("still pending", stats.pending, ""),
            ("still running", stats.running, ""),
            ("taken", stats.taken, ""),
            ("refused", stats.refused, "  (not among the submitted)"),
        ];
        let width = stats.submitted.max(stats.refused).to_string().len();
        for (n, (label, count, remark)) in rows.into_iter().enumerate() {
            // The four ways to end are always there, the rest only when there is something to say.
            if n < 4 || count > 0 {
                write!(f, "\n  {label:<13}  {count:>width$}{remark}")?;
            }
        }
        self.steps_table(f)?;
        self.times(f)?;
        let entries = &self.exceptions;
        self.entries(f, "panicked", &entries.panicked, stats.panicked)?;
        self.entries(f, "cancelled", &entries.cancelled, stats.cancelled)?;
        self.entries(
            f,
            "never started",
            &entries.never_started,
            stats.never_started,
        )?;
        self.stragglers_table(f)
    }
}

impl ShutdownReport {
    fn headline(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pool {
            Some(name) => write!(f, "pool {name:?}")?,
            None => f.write_str("pool")?,
        }
        if let Some(mode) = self.mode {
            write!(f, ", {mode}")?;
        }
        let stats = self.stats;
        if stats.submitted == 0 {
            return f.write_str(": no tasks");
        }
        write!(f, ": {}, ", Tasks(stats.submitted))?;
        let open = stats.pending + stats.running;
        if open > 0 {
            write!(f, "{open} not ended yet")
        } else if stats.completed == stats.submitted {
            f.write_str("all completed")
        } else {
            f.write_str("all ended")
        }
    }

    fn steps_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            return Ok(());
        }
        f.write_str("\nsteps             after     took")?;
        for step in &self.steps {
            let (after, took) = (Short(step.began()), Short(step.took()));
            write!(f, "\n  {:<14} {after:>7}  {took:>7} ", step.mode())?;
            let ended = [
                ("completed", step.completed()),
                ("cancelled", step.cancelled()),
                ("never started", step.never_started()),
                ("panicked", step.panicked()),
            ];
            for (label, count) in ended.into_iter().filter(|(_, count)| *count > 0) {
                write!(f, "  {count} {label}")?;
            }
        }
        Ok(())
    }

    /// How soon tasks stopped, if some were asked to; and how long they waited and ran, if that is known.
    fn times(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let latency = self.stop_latency();
        let rows = [
            ("asked to seen", Some(latency.to_seen())),
            ("asked to ended", Some(latency.to_ended())),
            ("waited", self.waited()),
            ("ran", self.ran()),
        ];
        let known = rows.iter().filter_map(|(label, durations)| {
            let durations = durations.filter(|durations| durations.count() > 0)?;
            Some((label, durations))
        });
        for (n, (label, durations)) in known.enumerate() {
            if n == 0 {
                write!(f, "\n{:16}", "times")?;
                for column in ["p50", "p90", "p99", "max"] {
                    write!(f, "  {column:>7}")?;
                }
            }
            write!(f, "\n  {label:<14}")?;
            for percent in [50.0, 90.0, 99.0, 100.0] {
                let duration = durations.percentile(percent).unwrap_or_default();
                write!(f, "  {:>7}", Short(duration))?;
            }
        }
        Ok(())
    }

    fn entries(
        &self,
        f: &mut fmt::Formatter<'_>,
        label: &str,
        entries: &[Entry],
        count: u64,
    ) -> fmt::Result {
        if entries.is_empty() {
            return Ok(());
        }
        write!(f, "\n{label}:")?;
        for entry in entries.iter().take(SHOWN) {
            write!(f, "\n  {}", entry.id)?;
            name(f, entry.name.as_deref())?;
            match (&entry.message, &entry.cause) {
                (Some(message), _) => write!(f, "  {}", FirstLine(message))?,
                (None, Some(cause)) => write!(f, "  {cause}")?,
                (None, None) => {}
            }
        }
        left_out(f, count, entries.len())
    }

    fn stragglers_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stragglers.is_empty() {
            return Ok(());
        }
        f.write_str("\nstill running:")?;
        for straggler in self.stragglers.iter().take(SHOWN) {
            write!(f, "\n  {}", straggler.id())?;
            name(f, straggler.name())?;
            asked(f, straggler)?;
        }
        left_out(f, self.stats.running, self.stragglers.len())
    }
}

fn name(f: &mut fmt::Formatter<'_>, name: Option<&str>) -> fmt::Result {
    name.map_or(Ok(()), |name| write!(f, " {name:?}"))
}

fn left_out(f: &mut fmt::Formatter<'_>, count: u64, kept: usize) -> fmt::Result {
    let shown = kept.min(SHOWN) as u64;
    if count > shown {
        write!(f, "\n  and {} more", count - shown)?;
    }
    Ok(())
}

fn asked(f: &mut fmt::Formatter<'_>, straggler: &Straggler) -> fmt::Result {
    f.write_str(" ")?;
    if let Some(running) = straggler.running_for() {
        write!(f, " running for {};", Short(running))?;
    }
    let (Some(cause), Some(ago)) = (straggler.cause(), straggler.asked_ago()) else {
        return f.write_str(" was not asked to stop");
    };
    write!(f, " asked {} ago ({}), ", Short(ago), cause.reason)?;
    match straggler.asked_to_seen() {
        Some(after) => write!(f, "saw it after {}", Short(after)),
        None if straggler.has_looked() => f.write_str("has seen it"),
        None => f.write_str("has not looked since"),
    }
}

/// The first line of a message that may be long.
struct FirstLine<'a>(&'a str);

impl fmt::Display for FirstLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0.lines().next().unwrap_or_default();
        match line.char_indices().nth(100) {
            Some((end, _)) => write!(f, "{}…", &line[..end]),
            None => f.write_str(line),
        }
    }
}

/// A number of tasks.
struct Tasks(u64);

impl fmt::Display for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 task"),
            n => write!(f, "{n} tasks"),
        }
    }
}

/// A duration, to two or three figures.
struct Short(Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let (size, unit) = match nanos {
            0..1_000 => return f.pad(&format!("{nanos} ns")),
            1_000..1_000_000 => (1e3, "µs"),
            1_000_000..1_000_000_000 => (1e6, "ms"),
            _ => (1e9, "s"),
        };
        #[expect(
            clippy::cast_precision_loss,
            reason = "of a number of which three figures are shown"
        )]
        let value = nanos as f64 / size;
        let places = usize::from(value < 10.0);
        f.pad(&format!("{value:.places$} {unit}"))
    }
}
