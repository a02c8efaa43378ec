//! A trace as text, for people.

use std::fmt;

use vigo_base::text::escaped;

use super::{Applies, Reason, Trace, TracedCrate, TracedLayer};

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "host {}", escaped(&self.host))?;
        let Some(matched) = &self.matched else {
            return writeln!(f, "  no match block matches it: nothing applies");
        };
        write!(f, "  matched `{}` at {}", escaped(&matched.pattern), escaped(&matched.origin))?;
        match &matched.environment {
            Some(environment) => writeln!(f, ", environment {}", escaped(environment))?,
            None => writeln!(f)?,
        }
        for other in &self.shadowed {
            writeln!(f, "  not used: `{}` at {}", escaped(&other.pattern), escaped(&other.origin))?;
        }
        for path in self.common.iter().chain(&self.environments) {
            writeln!(f, "  inherits {}", escaped(path))?;
        }
        for tag in &self.tags {
            writeln!(f, "  tag {} at {}", escaped(&tag.name), escaped(&tag.origin))?;
        }
        writeln!(f, "configcrates")?;
        self.configcrates.iter().try_for_each(|c| write_crate(f, c))?;
        for e in &self.excluded {
            let (name, by, origin) = (escaped(&e.name), escaped(&e.by), escaped(&e.origin));
            writeln!(f, "  {name}  excluded by {by} at {origin}")?;
            e.asked_by.iter().try_for_each(|reason| write_reason(f, reason))?;
        }
        writeln!(f, "variables")?;
        for var in &self.vars {
            let Some((last, before)) = var.layers.split_last() else { continue };
            writeln!(f, "  {} = {}", escaped(&var.name), layer(last))?;
            for overridden in before.iter().rev() {
                writeln!(f, "    over {}", layer(overridden))?;
            }
        }
        self.write_compliance(f)
    }
}

impl Trace {
    fn write_compliance(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.controls.is_empty() {
            writeln!(f, "controls")?;
        }
        for control in &self.controls {
            let waived = if control.waived { "  waived" } else { "" };
            writeln!(f, "  {} {}{waived}", escaped(&control.framework), escaped(&control.control))?;
            for claim in &control.claimed_by {
                let (name, via) = (escaped(&claim.configcrate), escaped(&claim.via.to_string()));
                let applies = applies(claim.applies);
                writeln!(f, "    by {name} ({via}) at {}{applies}", escaped(&claim.origin))?;
            }
        }
        if !self.waivers.is_empty() {
            writeln!(f, "waivers")?;
        }
        for traced in &self.waivers {
            let waiver = &traced.waiver;
            write!(f, "  {} {}", escaped(&waiver.framework), escaped(&waiver.control))?;
            match (waiver.expires, traced.counts) {
                (Some(day), Some(false)) => write!(f, "  expired on {day}, does not count")?,
                (Some(day), _) => write!(f, "  until {day}")?,
                (None, _) => {}
            }
            writeln!(f)?;
            let (by, origin) = (escaped(&waiver.approved_by), escaped(&waiver.origin));
            writeln!(f, "    by {by} at {origin}: {}", escaped(&waiver.reason))?;
        }
        Ok(())
    }
}

fn applies(applies: Applies) -> &'static str {
    match applies {
        Applies::Yes => "",
        Applies::No => "  does not apply here",
        Applies::Unknown => "  depends on the machine",
    }
}

fn write_crate(f: &mut fmt::Formatter<'_>, traced: &TracedCrate) -> fmt::Result {
    let kind = if traced.usercrate { " (usercrate)" } else { "" };
    let retracted = if traced.absent { "  retracted" } else { "" };
    writeln!(f, "  {}{kind}{retracted}{}", escaped(&traced.name), applies(traced.applies))?;
    traced.asked_by.iter().try_for_each(|reason| write_reason(f, reason))
}

fn write_reason(f: &mut fmt::Formatter<'_>, reason: &Reason) -> fmt::Result {
    let overridden = if reason.counts { "" } else { "overridden: " };
    write!(f, "    {overridden}by {} at {}", escaped(&reason.by), escaped(&reason.origin))?;
    match (reason.absent, reason.counts) {
        (true, _) => write!(f, ", absent")?,
        (false, false) => write!(f, ", present")?,
        (false, true) => {}
    }
    if let Some(list) = &reason.foreach {
        write!(f, ", for each of {}", escaped(list))?;
    }
    match &reason.when {
        Some(when) => writeln!(f, ", when {}", escaped(when)),
        None => writeln!(f),
    }
}

fn layer(layer: &TracedLayer) -> String {
    let text = layer.value.to_string();
    let mut cut: String = text.chars().take(80).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("{}  by {} at {}", escaped(&cut), escaped(&layer.by), escaped(&layer.origin))
}
