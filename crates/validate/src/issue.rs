//! What is wrong with a value: a code, a place, parameters, and the value itself.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ottava_core::schema::Value;
use smallvec::SmallVec;

pub use crate::code::Code;
use crate::program::RecordPlan;

/// Parameters of a code, by name. Most codes have one at most, which is held in place.
pub type Ctx = SmallVec<[(&'static str, Param); 1]>;

/// A path into a value. A short one is held in place.
pub type Path = SmallVec<[Loc; 2]>;

/// One thing wrong with a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Issue {
    /// What is wrong.
    pub code: Code,
    /// Where: field names and indices from the root inwards.
    pub loc: Path,
    /// Parameters of the code, such as the bound that was exceeded.
    pub ctx: Ctx,
    /// The value that is wrong.
    pub echo: Echo,
    /// Whether the value stands in JSON text, where a list is called an array.
    pub json: bool,
}

impl Issue {
    /// An issue without parameters at the root.
    #[must_use]
    pub fn new(code: Code, echo: Echo) -> Self {
        Self { code, loc: Path::new(), ctx: Ctx::new(), echo, json: false }
    }

    /// The message: pydantic's text for the code, with the parameters filled in.
    #[must_use]
    pub fn message(&self) -> String {
        self.code.render(&self.ctx, self.json)
    }
}

/// `loc: message [code]`, with the parts of `loc` joined by dots.
impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.loc.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            write!(f, "{part}")?;
        }
        if !self.loc.is_empty() {
            f.write_str(": ")?;
        }
        write!(f, "{} [{}]", self.message(), self.code.name())
    }
}

/// One step of a path into a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Loc {
    /// A field, a key, or the tag of a union's member.
    Name(Arc<str>),
    /// The tag of a union's member, if that is an integer.
    Tag(i64),
    /// An index of a sequence, or a row number.
    Index(usize),
}

impl fmt::Display for Loc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loc::Name(name) => f.write_str(name),
            Loc::Tag(tag) => write!(f, "{tag}"),
            Loc::Index(index) => write!(f, "{index}"),
        }
    }
}

/// A parameter of an issue.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Param {
    /// A count or an integer.
    Int(i64),
    /// Text.
    Str(Arc<str>),
    /// A bound, as it was declared.
    Value(Value),
    /// Something that the host keeps under this number, such as the exception that a validator raised.
    Host(usize),
}

/// The value that an issue is about.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Echo {
    /// There is none.
    None,
    /// It stands in these bytes of the document.
    Span(Range<usize>),
    /// A plain value.
    Value(Value),
    /// Something that the host's input keeps under this number.
    Host(usize),
}

/// The issues of one run, in order of discovery.
#[derive(Debug, Default)]
pub struct Issues {
    list: Vec<Issue>,
    limit: usize,
    /// Issues beyond the limit: counted, not kept.
    dropped: usize,
    /// Issues that were ever added.
    found: usize,
}

impl Issues {
    /// An empty list that keeps up to `limit` issues and counts the rest.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { list: Vec::new(), limit: limit.max(1), dropped: 0, found: 0 }
    }

    /// How many there are, kept or not. [`Issues::locate`] takes this as a mark.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.list.len() + self.dropped
    }

    /// How many were ever added, whether they were kept or not.
    pub(crate) fn found(&self) -> usize {
        self.found
    }

    /// Whether there is none.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds one. Its `loc` holds the innermost step first until [`Issues::take`] turns it around.
    #[cold]
    pub fn push(&mut self, issue: Issue) {
        self.found += 1;
        if self.list.len() < self.limit {
            self.list.push(issue);
        } else {
            self.dropped += 1;
        }
    }

    /// Counts issues that were found elsewhere and not kept there.
    pub fn count_dropped(&mut self, more: usize) {
        self.found += more;
        self.dropped += more;
    }

    /// Says that all issues from `mark` on happened inside `step`.
    #[cold]
    pub fn locate(&mut self, mark: usize, step: &Loc) {
        for issue in self.list.iter_mut().skip(mark) {
            issue.loc.push(step.clone());
        }
    }

    /// Corrects the outermost step of the issues from `mark` on.
    #[cold]
    pub(crate) fn rename(&mut self, mark: usize, step: &Loc) {
        for issue in self.list.iter_mut().skip(mark) {
            if let Some(last) = issue.loc.last_mut() {
                *last = step.clone();
            }
        }
    }

    /// Calls the fields of a record by their numbers in the issues from `mark` on.
    #[cold]
    pub(crate) fn number_fields(&mut self, mark: usize, plan: &RecordPlan) {
        for issue in self.list.iter_mut().skip(mark) {
            if let Some(step) = issue.loc.last_mut()
                && let Loc::Name(name) = step
                && let Some(index) = plan.field_of(name)
            {
                *step = Loc::Index(index);
            }
        }
    }

    /// Puts the issues from `mark` on, all of one record, into the order of its fields; extra fields come last.
    #[cold]
    pub(crate) fn sort_by_field(&mut self, mark: usize, plan: &RecordPlan) {
        let field = |issue: &Issue| match issue.loc.last() {
            Some(Loc::Name(name)) => plan.field_of(name).unwrap_or(plan.fields.len()),
            _ => plan.fields.len(),
        };
        if let Some(issues) = self.list.get_mut(mark..) {
            issues.sort_by_key(field);
        }
    }

    /// Forgets the issues from `mark` on.
    pub fn truncate(&mut self, mark: usize) {
        self.dropped = self.dropped.min(mark.saturating_sub(self.list.len()));
        self.list.truncate(mark);
    }

    /// How many were found beyond the limit.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Empties the list and returns the issues that were kept, with their paths from the root inwards.
    pub fn take(&mut self) -> Vec<Issue> {
        let mut list = std::mem::take(&mut self.list);
        self.dropped = 0;
        for issue in &mut list {
            issue.loc.reverse();
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_is_counted_and_forgotten_like_the_rest() {
        let mut issues = Issues::new(2);
        let add = |issues: &mut Issues, count| {
            (0..count).for_each(|_| issues.push(Issue::new(Code::Missing, Echo::None)));
        };
        add(&mut issues, 1);
        for before in [0, 1, 3] {
            add(&mut issues, before);
            let mark = issues.len();
            for after in [0, 1, 4] {
                add(&mut issues, after);
                issues.locate(mark, &Loc::Index(0));
                assert_eq!(issues.len(), mark + after);
                issues.truncate(mark);
                assert_eq!((issues.len(), issues.dropped()), (mark, mark.saturating_sub(2)));
            }
        }
        issues.count_dropped(3);
        assert_eq!((issues.len(), issues.dropped()), (8, 6));
        assert!(issues.take().iter().all(|issue| issue.loc.is_empty()));
        assert_eq!((issues.len(), issues.is_empty()), (0, true));
    }
}
