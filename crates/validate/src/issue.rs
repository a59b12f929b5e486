//! What is wrong with a value: a code, a place, parameters, and the value itself.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ottava_core::schema::Value;
use smallvec::SmallVec;

pub use crate::code::Code;
use crate::program::{FieldPlan, RecordPlan};

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
///
/// Many a list is thrown away unread, so little is made of an issue before somebody asks: a field is a number until then.
#[derive(Debug, Default)]
pub struct Issues {
    list: Vec<Found>,
    /// The fields of the records that steps refer to.
    records: SmallVec<[Arc<[FieldPlan]>; 1]>,
    limit: usize,
    /// Issues beyond the limit: counted, not kept.
    dropped: usize,
    /// Issues that were ever added.
    found: usize,
}

/// An issue as it is kept.
#[derive(Debug, Clone)]
struct Found {
    code: Code,
    json: bool,
    /// The innermost first.
    steps: SmallVec<[Step; 2]>,
    ctx: Ctx,
    echo: Echo,
}

/// A step of a path, in two words.
#[derive(Debug, Clone)]
enum Step {
    /// A field by its number, in the record of this number.
    Field(u32, u32),
    Index(usize),
    Loc(Box<Loc>),
}

impl Issues {
    /// An empty list that keeps up to `limit` issues and counts the rest.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), ..Self::default() }
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

    /// How many are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.list.len()
    }

    /// Whether those that are added from now on are only counted.
    #[must_use]
    #[inline]
    pub fn is_full(&self) -> bool {
        self.list.len() >= self.limit
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
        let Issue { code, loc, ctx, echo, json } = issue;
        let steps = loc.into_iter().map(Step::from).collect();
        self.keep(Found { code, json, steps, ctx, echo });
    }

    /// Adds one at the current place.
    #[inline]
    pub(crate) fn add(&mut self, code: Code, ctx: Ctx, echo: Echo, json: bool) {
        self.keep(Found { code, json, steps: SmallVec::new(), ctx, echo });
    }

    #[inline(always)]
    fn keep(&mut self, found: Found) {
        self.found += 1;
        if self.list.len() < self.limit {
            self.list.push(found);
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
        for found in self.list.get_mut(mark..).unwrap_or_default() {
            found.steps.push(step.clone().into());
        }
    }

    /// Says that all issues from `mark` on happened inside a field of a record.
    #[cold]
    pub(crate) fn locate_field(&mut self, mark: usize, plan: &RecordPlan, field: usize) {
        let is_known = |fields: &Arc<[FieldPlan]>| Arc::ptr_eq(fields, &plan.fields);
        let record = match self.records.last() {
            Some(last) if is_known(last) => self.records.len() - 1,
            _ => self.records.iter().position(is_known).unwrap_or_else(|| {
                self.records.push(Arc::clone(&plan.fields));
                self.records.len() - 1
            }),
        };
        for found in self.list.get_mut(mark..).unwrap_or_default() {
            found.steps.push(Step::Field(record as u32, field as u32));
        }
    }

    /// Corrects the outermost step of the issues from `mark` on.
    #[cold]
    pub(crate) fn rename(&mut self, mark: usize, step: &Loc) {
        for found in self.list.iter_mut().skip(mark) {
            if let Some(last) = found.steps.last_mut() {
                *last = step.clone().into();
            }
        }
    }

    /// Calls the fields of a record by their numbers in the issues from `mark` on.
    #[cold]
    pub(crate) fn number_fields(&mut self, mark: usize, plan: &RecordPlan) {
        for found in self.list.iter_mut().skip(mark) {
            if let Some(step) = found.steps.last_mut()
                && let Some(index) = step.field_of(plan)
            {
                *step = Step::Index(index);
            }
        }
    }

    /// Puts the issues from `mark` on, all of one record, into the order of its fields; extra fields come last.
    #[cold]
    pub(crate) fn sort_by_field(&mut self, mark: usize, plan: &RecordPlan) {
        let field = |found: &Found| {
            // One that is called as a field with an alias is no field.
            let is_extra = found.code == Code::ExtraForbidden && found.steps.len() == 1;
            let step = found.steps.last().filter(|_| !is_extra);
            step.and_then(|step| step.field_of(plan)).unwrap_or(plan.fields.len())
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

    /// The issues that are kept, with their paths from the root inwards.
    pub fn iter(&self) -> impl Iterator<Item = Issue> {
        self.list.iter().map(|found| self.issue(found.clone()))
    }

    /// Empties the list and returns the issues that were kept, with their paths from the root inwards.
    pub fn take(&mut self) -> Vec<Issue> {
        let list = std::mem::take(&mut self.list);
        self.dropped = 0;
        list.into_iter().map(|found| self.issue(found)).collect()
    }

    fn issue(&self, found: Found) -> Issue {
        let named = |step: Step| match step {
            Step::Loc(loc) => *loc,
            Step::Index(index) => Loc::Index(index),
            Step::Field(record, field) => self.records[record as usize][field as usize].loc.clone(),
        };
        let Found { code, json, steps, ctx, echo } = found;
        Issue { code, loc: steps.into_iter().rev().map(named).collect(), ctx, echo, json }
    }
}

impl Step {
    /// The field of a record that this outermost step of an issue in it is.
    fn field_of(&self, plan: &RecordPlan) -> Option<usize> {
        match self {
            Step::Field(_, field) => Some(*field as usize),
            Step::Loc(loc) => match &**loc {
                Loc::Name(name) => plan.field_of(name),
                _ => None,
            },
            Step::Index(_) => None,
        }
    }
}

impl From<Loc> for Step {
    fn from(loc: Loc) -> Self {
        match loc {
            Loc::Index(index) => Step::Index(index),
            other => Step::Loc(Box::new(other)),
        }
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

    #[test]
    fn issues_are_read_as_they_are_taken() {
        use ottava_core::schema::{Declaration, Field, Record, Type};

        let item = Record::new("Item").field(Field::new("count", Type::int().gt(0)).alias("n"));
        let order = Record::new("Order")
            .field(Field::new("id", Type::int()))
            .field(Field::new("items", Type::list(Type::from(item))));
        let schema = crate::Schema::compile(Declaration::from(order)).expect("valid");
        let text = br#"{"items": [{"n": 1}, {"n": 0}, 5, {}], "more": 1}"#;
        let mut issues = Issues::new(3);
        let output = &mut crate::Nothing::<false>;
        let _ = schema.run_json(text, output, (), &mut issues, None);
        let read: Vec<Issue> = issues.iter().collect();
        let shown: Vec<String> = read.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "items.1.n: Input should be greater than 0 [greater_than]",
                "items.2: Input should be an object [model_type]",
                "items.3.n: Field required [missing]",
            ]
        );
        assert_eq!((issues.kept(), issues.len(), issues.dropped()), (3, 4, 1));
        assert_eq!(issues.take(), read);
        assert_eq!(issues.len(), 0);
    }
}
