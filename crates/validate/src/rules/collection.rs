//! Lists, tuples, sets and dictionaries.

use ottava_core::schema::Rules;
use smallvec::smallvec;

use super::union::Settled;
use crate::check::{Fit, Run};
use crate::distinct::Distinct;
use crate::input::{Collection, Found, Input};
use crate::issue::{Code, Ctx, Issues, Loc, Param};
use crate::output::{Checked, Output, Stop};
use crate::program::{DictPlan, NodeId, Op, SeqPlan};
use crate::tree::TreeOutput;

/// How many items a collection may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SizeRules {
    pub(crate) min: usize,
    pub(crate) max: usize,
}

impl SizeRules {
    pub(crate) fn new(rules: &Rules) -> Self {
        Self { min: rules.min_length.unwrap_or(0), max: rules.max_length.unwrap_or(usize::MAX) }
    }

    fn is_free(self) -> bool {
        self.min == 0 && self.max == usize::MAX
    }
}

pub(crate) fn count(value: usize) -> Param {
    Param::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

/// What issues call a collection.
fn name_of(kind: Collection) -> &'static str {
    match kind {
        Collection::List => "List",
        Collection::Tuple => "Tuple",
        Collection::Set => "Set",
        Collection::FrozenSet => "Frozenset",
    }
}

impl SeqPlan {
    /// How many items there may be.
    fn most(&self) -> usize {
        if self.rest.is_some() { self.size.max } else { self.items.len() }
    }
}

/// Counts the different items of a set, if the output does not.
enum Counter {
    /// Every item counts.
    Plain,
    /// The output knows.
    Output,
    /// We look at the items ourselves.
    Own(Distinct),
}

impl<I: Input, O: Output> Run<'_, I, O> {
    pub(crate) fn check_seq(
        &mut self,
        plan: &SeqPlan,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        let Some(items) = self.input.seq(value, plan.kind, strict)? else {
            let code = match plan.kind {
                Collection::List => Code::ListType,
                Collection::Tuple => Code::TupleType,
                Collection::Set => Code::SetType,
                Collection::FrozenSet => Code::FrozenSetType,
            };
            return self.fail(value, code, Ctx::new());
        };
        if I::IS_JSON {
            if plan.kind != Collection::List {
                self.fits(Fit::Strict);
            }
        } else if self.in_union && self.input.get(value)? != Found::Seq(plan.kind) {
            self.fits(Fit::Lax);
        }
        self.deeper(value, |run| run.read_seq(plan, at, value, items))
    }

    fn read_seq(
        &mut self,
        plan: &SeqPlan,
        at: O::Place,
        value: &I::Value,
        mut items: I::Seq,
    ) -> Checked<O::Value> {
        let start = self.issues.len();
        let mut seq = self.output.seq(at, plan.kind)?;
        let is_set = matches!(plan.kind, Collection::Set | Collection::FrozenSet);
        let mut counter = if !is_set || plan.size.is_free() || self.verified {
            Counter::Plain
        } else if self.output.distinct(&seq).is_some() {
            Counter::Output
        } else {
            Counter::Own(Distinct::default())
        };
        let mut unique = (plan.unique && !self.verified).then(Distinct::default);
        // Items so far, and those that count for the size.
        let (mut index, mut length) = (0, 0);
        let mut failed = false;
        loop {
            let item = match self.input.next_item(&mut items) {
                Ok(Some(item)) => item,
                Ok(None) => break,
                Err(stop) => return self.iteration_failed(stop, value, start, index),
            };
            let node = match plan.items.get(index) {
                Some(node) => *node,
                None => match plan.rest {
                    Some(node) if length < plan.size.max || is_set => node,
                    _ => {
                        self.input.skip(&item)?;
                        let actual = self.count_rest(&mut items, index + 1)?;
                        return self.too_long(
                            name_of(plan.kind),
                            plan.most(),
                            start,
                            actual,
                            value,
                        );
                    }
                },
            };
            let mark = self.issues.len();
            let place = self.output.item_place(at, &seq);
            let checked = match self.check(node, place, item.clone()) {
                Ok(done) => self.keep_item(&mut seq, done, node, &item, &mut counter, &mut unique),
                Err(stop) => Err(stop),
            };
            match checked {
                Ok(fresh) => length += usize::from(fresh),
                Err(stop) => {
                    self.part_failed(stop, &item, |issues| {
                        issues.locate(mark, &Loc::Index(index));
                    })?;
                    failed = true;
                    // A list that is too long is that whatever its items are.
                    length += usize::from(plan.kind == Collection::List);
                }
            }
            if let Counter::Output = counter {
                length = self.output.distinct(&seq).unwrap_or(length);
            }
            if length > plan.size.max && is_set && !self.verified {
                return self.too_long(name_of(plan.kind), plan.most(), start, None, value);
            }
            index += 1;
        }
        if index < plan.items.len() {
            for missing in index..plan.items.len() {
                let mark = self.issues.len();
                let failure: Checked<()> = self.fail(value, Code::Missing, Ctx::new());
                if O::FIRST_ISSUE_ONLY {
                    failure?;
                }
                self.issues.locate(mark, &Loc::Index(missing));
            }
            failed = true;
        }
        if failed {
            return Err(Stop::Invalid);
        }
        if length < plan.size.min {
            let ctx = smallvec![
                ("field_type", Param::Str(name_of(plan.kind).into())),
                ("min_length", count(plan.size.min)),
                ("actual_length", count(length)),
            ];
            return self.fail(value, Code::TooShort, ctx);
        }
        self.output.end_seq(at, seq)
    }

    /// Adds an item that is right; whether it counts for the size.
    #[inline]
    fn keep_item(
        &mut self,
        seq: &mut O::Seq,
        done: O::Value,
        node: NodeId,
        item: &I::Value,
        counter: &mut Counter,
        unique: &mut Option<Distinct>,
    ) -> Checked<bool> {
        if !self.output.push(seq, done)? {
            return self.fail(item, Code::SetItemNotHashable, Ctx::new());
        }
        if let Some(seen) = unique
            && !self.is_fresh(node, item, seen)?
        {
            return self.fail(item, Code::UniqueItems, Ctx::new());
        }
        match counter {
            Counter::Own(seen) => self.is_fresh(node, item, seen),
            _ => Ok(true),
        }
    }

    /// Whether an item, checked before, has not been seen. It is checked once more, into a value that can be compared.
    fn is_fresh(&mut self, node: NodeId, item: &I::Value, seen: &mut Distinct) -> Checked<bool> {
        let mut issues = Issues::new(1);
        let mut run = Run {
            program: self.program,
            input: &mut *self.input,
            output: &mut TreeOutput,
            issues: &mut issues,
            depth: self.depth,
            max_depth: self.max_depth,
            fit: self.fit,
            fields: None,
            in_union: false,
            verified: true,
            force_strict: self.force_strict,
            trials: 0,
            nested: false,
            of_json: self.of_json,
            settled: Settled::default(),
            under_way: std::mem::take(&mut self.under_way),
        };
        let value = run.check(node, (), item.clone());
        self.under_way = std::mem::take(&mut run.under_way);
        let value = value?;
        Ok(seen.insert(&value))
    }

    /// Passes over the rest of a sequence of which `seen` items are read; how many there are in all.
    #[cold]
    pub(crate) fn count_rest(&mut self, items: &mut I::Seq, seen: usize) -> Checked<Option<usize>> {
        if !self.input.ends(items) {
            return Ok(None);
        }
        let mut all = seen;
        while let Some(item) = self.input.next_item(items)? {
            self.input.skip(&item)?;
            all += 1;
        }
        Ok(Some(all))
    }

    /// Reports a collection that has failed to give its next item, if it has, instead of everything that is wrong with its items.
    #[cold]
    fn iteration_failed<T>(
        &mut self,
        stop: Stop,
        value: &I::Value,
        start: usize,
        index: usize,
    ) -> Checked<T> {
        let Some(error) = self.input.take_failure() else { return Err(stop) };
        self.issues.truncate(start);
        let ctx = smallvec![("error", Param::Str(error.into()))];
        let failure = self.fail(value, Code::IterationError, ctx);
        self.issues.locate(start, &Loc::Index(index));
        failure
    }

    /// Reports a collection that is too long, instead of everything that is wrong with its items.
    #[cold]
    pub(crate) fn too_long<T>(
        &mut self,
        name: &str,
        max: usize,
        start: usize,
        actual: Option<usize>,
        value: &I::Value,
    ) -> Checked<T> {
        self.issues.truncate(start);
        let ctx = smallvec![
            ("field_type", Param::Str(name.into())),
            ("max_length", count(max)),
            ("actual_length", actual.map_or(Param::Str("more".into()), count)),
        ];
        self.fail(value, Code::TooLong, ctx)
    }

    pub(crate) fn check_dict(
        &mut self,
        plan: &DictPlan,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        let Some(entries) = self.input.map(value, None, strict)? else {
            return self.fail(value, Code::DictType, Ctx::new());
        };
        self.deeper(value, |run| run.read_dict(plan, at, value, entries))
    }

    fn read_dict(
        &mut self,
        plan: &DictPlan,
        at: O::Place,
        value: &I::Value,
        mut entries: I::Map,
    ) -> Checked<O::Value> {
        let start = self.issues.len();
        let mut map = self.output.map(at)?;
        // Keys that occur twice count once, so they are remembered where the number matters.
        let mut seen = (!plan.size.is_free() && !self.verified).then(Distinct::default);
        let mut length = 0;
        let mut failed = false;
        while let Some(key) = self.input.next_key(&mut entries)? {
            let mark = self.issues.len();
            let place = self.output.key_place(at, &map);
            let done_key = match self.check_key(plan.key, place, key.clone()) {
                Ok(done) => {
                    let fresh = match &mut seen {
                        Some(seen) => self.is_fresh(plan.key, &key, seen)?,
                        None => true,
                    };
                    length += usize::from(fresh);
                    Some(done)
                }
                Err(stop) => {
                    let inner = Loc::Name("[key]".into());
                    self.part_failed(stop, &key, |issues| issues.locate(mark, &inner))?;
                    let step = self.key_step(&key)?;
                    self.issues.locate(mark, &step);
                    length += 1;
                    None
                }
            };
            if length > plan.size.max && !self.verified {
                self.issues.truncate(start);
                let ctx = smallvec![
                    ("field_type", Param::Str("Dictionary".into())),
                    ("max_length", count(plan.size.max)),
                    ("actual_length", Param::Str("more".into())),
                ];
                return self.fail(value, Code::TooLong, ctx);
            }
            let mark = self.issues.len();
            let item = self.input.entry_value(&mut entries)?;
            let place = self.output.value_place(at, &map);
            let checked = match (self.check(plan.value, place, item.clone()), done_key) {
                (Ok(done), Some(key)) => match self.output.insert(&mut map, key, done) {
                    Ok(true) => Ok(()),
                    Ok(false) => {
                        let message = Param::Str("Keys should be hashable".into());
                        self.fail(&item, Code::Custom, smallvec![("message", message)])
                    }
                    Err(stop) => Err(stop),
                },
                (Ok(_), None) => {
                    failed = true;
                    Ok(())
                }
                (Err(stop), _) => Err(stop),
            };
            if let Err(stop) = checked {
                // The step comes from the key, which is read again; then the value is passed over.
                let step = match stop {
                    Stop::Invalid if !O::FIRST_ISSUE_ONLY => self.key_step(&key)?,
                    _ => return Err(stop),
                };
                self.part_failed(stop, &item, |issues| issues.locate(mark, &step))?;
                failed = true;
            }
        }
        if failed {
            return Err(Stop::Invalid);
        }
        if length < plan.size.min {
            let ctx = smallvec![
                ("field_type", Param::Str("Dictionary".into())),
                ("min_length", count(plan.size.min)),
                ("actual_length", count(length)),
            ];
            return self.fail(value, Code::TooShort, ctx);
        }
        self.output.end_map(at, map)
    }

    /// Checks a key. JSON has no other keys than text, so there text stands for what it says even where nothing else converts.
    fn check_key(&mut self, node: NodeId, at: O::Place, key: I::Value) -> Checked<O::Value> {
        if !I::IS_JSON || (self.is_moment(node) && !self.is_number(&key)?) {
            return self.check(node, at, key);
        }
        let force_strict = self.force_strict.replace(false);
        let checked = self.check(node, at, key);
        self.force_strict = force_strict;
        checked
    }

    /// Whether the node is a date or a time with it, which one text may stand for strictly and another not.
    fn is_moment(&self, node: NodeId) -> bool {
        match &self.program.node(node).op {
            Op::Alias(inner) | Op::Nullable(inner) => self.is_moment(*inner),
            Op::Date(_) | Op::DateTime(_) => true,
            _ => false,
        }
    }

    /// Whether the value is the text of a number.
    fn is_number(&mut self, key: &I::Value) -> Checked<bool> {
        let found = self.input.get(key)?;
        Ok(matches!(found, Found::Str(text) if text.parse::<f64>().is_ok()))
    }

    /// The step of a path that a dictionary's key makes.
    #[cold]
    fn key_step(&mut self, key: &I::Value) -> Checked<Loc> {
        if let Some(step) = self.input.key_step(key) {
            return Ok(step);
        }
        Ok(match self.input.get(key)? {
            Found::Str(text) => Loc::Name(text.into()),
            Found::Int(int) => match usize::try_from(int) {
                Ok(index) => Loc::Index(index),
                Err(_) => Loc::Name(int.to_string().into()),
            },
            Found::Null => Loc::Name("None".into()),
            Found::Bool(flag) => Loc::Name(if flag { "True" } else { "False" }.into()),
            Found::Float(float) => Loc::Name(format!("{float:?}").into()),
            Found::BigInt(text) | Found::Decimal(text) => Loc::Name(text.into()),
            other => Loc::Name(format!("{other:?}").into()),
        })
    }
}
