//! What may be wrong with a query or better in it (dialect `promql`), each said once.

use std::{collections::BTreeSet, fmt::Display};

use metricsql::Span;
use parking_lot::Mutex;

/// So many of each kind are told; the others are counted.
const TOLD_MAX: usize = 10;
/// So many different ones are kept to tell them apart.
const KEPT_MAX: usize = 1_000;

/// The annotations of a query. Equal ones count once.
#[derive(Debug)]
pub struct Annotations {
    text: String,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    warnings: BTreeSet<String>,
    infos: BTreeSet<String>,
}

impl Annotations {
    /// None so far, for the query of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), notes: Mutex::default() }
    }

    /// Something may be wrong at `span`.
    pub fn warn(&self, span: Span, message: impl Display) {
        let note = format!("PromQL warning: {message} ({})", self.position(span));
        keep(&mut self.notes.lock().warnings, note);
    }

    /// Something may be better at `span`.
    pub fn info(&self, span: Span, message: impl Display) {
        let note = format!("PromQL info: {message} ({})", self.position(span));
        keep(&mut self.notes.lock().infos, note);
    }

    /// Warnings and infos as they are told.
    pub fn to_strings(&self) -> (Vec<String>, Vec<String>) {
        let notes = self.notes.lock();
        (told(&notes.warnings, "warning"), told(&notes.infos, "info"))
    }

    /// Line and column of where `span` begins, both from 1, columns in bytes.
    fn position(&self, span: Span) -> String {
        let Some(before) = self.text.as_bytes().get(..span.start as usize) else {
            return "invalid position".into();
        };
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
        format!("{line}:{column}")
    }
}

fn keep(notes: &mut BTreeSet<String>, note: String) {
    if notes.len() < KEPT_MAX {
        notes.insert(note);
    }
}

fn told(notes: &BTreeSet<String>, kind: &str) -> Vec<String> {
    let mut told: Vec<String> = notes.iter().take(TOLD_MAX).cloned().collect();
    if notes.len() > TOLD_MAX {
        told.push(format!("{} more {kind} annotations omitted", notes.len() - TOLD_MAX));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_told_once_with_its_place() {
        let notes = Annotations::new("sum(\n  sort(m))");
        for _ in 0..2 {
            notes.warn(Span { start: 7, end: 14 }, "sort is ineffective");
        }
        assert_eq!(notes.to_strings(), (vec!["PromQL warning: sort is ineffective (2:3)".into()], vec![]));
    }

    #[test]
    fn too_many_notes_are_counted() {
        let notes = Annotations::new("x");
        (0..13).for_each(|n| notes.info(Span::default(), n));
        let (warnings, infos) = notes.to_strings();
        assert!(warnings.is_empty());
        assert_eq!((infos.len(), infos[10].as_str()), (11, "3 more info annotations omitted"));
    }
}
