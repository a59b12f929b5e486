//! Unions: one of several types.

use ottava_core::schema::UnionMode;
use rustc_hash::FxHashMap;
use smallvec::smallvec;

use crate::check::{Fit, Run};
use crate::input::{Entry, Found, Input};
use crate::issue::{Code, Ctx, Loc, Param};
use crate::output::{Checked, Output, Stop};
use crate::program::{NodeId, Op, Program, RecordPlan};

/// A compiled union.
#[derive(Debug)]
pub(crate) struct UnionPlan {
    pub(crate) members: Vec<Member>,
    /// Whether the first member that fits is taken.
    pub(crate) left_to_right: bool,
    pub(crate) tag: Option<Box<TagPlan>>,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) node: NodeId,
    /// The step that issues show.
    pub(crate) label: Loc,
}

/// How the tag of a value chooses a member.
#[derive(Debug)]
pub(crate) struct TagPlan {
    /// A record with the tag as its only field, to look for it.
    pub(crate) record: RecordPlan,
    /// The member of each tag that is text.
    pub(crate) texts: FxHashMap<Box<str>, usize>,
    /// The member of each tag that is a number.
    pub(crate) ints: FxHashMap<i64, usize>,
    /// `'a', 'b'`
    pub(crate) expected: String,
}

/// What unions inside of unions were found to be. The members of the outer union read the same value one after another, and a union
/// in it would be decided again for each: in a type that contains itself, more often by a factor with each level of the value.
///
/// The key is the union and the identity of the value, whose clone keeps that valid; the result is the member that was the best, if any
/// fits.
pub(crate) struct Settled<V> {
    known: FxHashMap<(usize, usize), (V, Option<u32>)>,
    /// How often a union was found not to fit again.
    misfits: usize,
}

impl<V> Default for Settled<V> {
    fn default() -> Self {
        Self { known: FxHashMap::default(), misfits: 0 }
    }
}

/// How often a union that is known not to fit says in full why. Then it only says that it does not.
const FULL_REPORTS: usize = 256;

impl UnionPlan {
    pub(crate) fn new(mode: &UnionMode, members: Vec<Member>, tag: Option<Box<TagPlan>>) -> Self {
        Self { members, left_to_right: *mode == UnionMode::LeftToRight, tag }
    }
}

/// Whether the node is a scalar that takes values of this kind as they are.
fn takes_exactly(program: &Program, node: NodeId, found: &Found<'_>) -> bool {
    match (&program.node(node).op, found) {
        (Op::Alias(inner), _) => takes_exactly(program, *inner, found),
        (Op::Int(_), Found::Int(_) | Found::BigInt(_))
        | (Op::Float(_), Found::Float(_))
        | (Op::Str(_), Found::Str(_))
        | (Op::Bool, Found::Bool(_))
        | (Op::Null, Found::Null) => true,
        // These may be, and are looked at in their turn.
        (Op::Enum(_) | Op::Literal(_), _) => true,
        _ => false,
    }
}

/// Whether the node may take values of this kind as they are, so that it comes before those after it.
fn may_be_exact(program: &Program, node: NodeId, found: &Found<'_>) -> bool {
    match &program.node(node).op {
        Op::Alias(inner) => may_be_exact(program, *inner, found),
        Op::Int(_) | Op::Float(_) | Op::Str(_) | Op::Bool | Op::Null => {
            takes_exactly(program, node, found)
        }
        Op::Seq(_) => matches!(found, Found::Seq(_)),
        Op::Dict(_) | Op::Record(_) => matches!(found, Found::Map | Found::Other),
        _ => true,
    }
}

/// A member that fits.
struct Choice<V> {
    done: V,
    index: usize,
    fit: Fit,
    /// How many fields its records were given, if there are records.
    fields: Option<usize>,
}

impl<I: Input, O: Output> Run<'_, I, O> {
    pub(crate) fn check_union(
        &mut self,
        plan: &UnionPlan,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        if let Some(tag) = &plan.tag {
            return self.check_tagged(plan, tag, strict, at, value);
        }
        let (fit, fields) = (self.fit, self.fields);
        let mark = self.issues.len();
        let in_union = std::mem::replace(&mut self.in_union, true);
        let result =
            if in_union { self.choose_once(plan, at, value) } else { self.choose(plan, at, value) };
        self.in_union = in_union;
        if !in_union {
            self.settled = Settled::default();
        }
        match result {
            Ok(Choice { done, fit: member_fit, fields: member_fields, .. }) => {
                self.issues.truncate(mark);
                self.fit = fit.max(member_fit);
                self.fields = match (fields, member_fields) {
                    (Some(one), Some(other)) => Some(one + other),
                    (one, other) => one.or(other),
                };
                Ok(done)
            }
            Err(stop) => {
                (self.fit, self.fields) = (fit, fields);
                Err(stop)
            }
        }
    }

    /// As [`Run::choose`], for a union inside of a union: what was decided before is not decided again.
    fn choose_once(
        &mut self,
        plan: &UnionPlan,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<Choice<O::Value>> {
        let Some(identity) = self.input.identity(value) else {
            return self.choose(plan, at, value);
        };
        let key = (std::ptr::from_ref(plan) as usize, identity);
        match self.settled.known.get(&key).map(|(_, member)| *member) {
            Some(Some(member)) => {
                let index = member as usize;
                let mark = self.issues.len();
                (self.fit, self.fields) = (Fit::Exact, None);
                let done = self.check(plan.members[index].node, at, value.clone());
                return match done {
                    Ok(done) => Ok(Choice { done, index, fit: self.fit, fields: self.fields }),
                    Err(stop) => {
                        // Only a value that changes can be wrong now.
                        self.issues.locate(mark, &plan.members[index].label);
                        Err(stop)
                    }
                };
            }
            Some(None) => {
                self.settled.misfits += 1;
                if self.settled.misfits > FULL_REPORTS {
                    return self.fail(value, Code::NoMatch, Ctx::new());
                }
            }
            None => {}
        }
        let result = self.choose(plan, at, value);
        let index = match &result {
            Ok(choice) => Some(choice.index as u32),
            Err(Stop::Invalid) => None,
            Err(Stop::Abort) => return result,
        };
        self.settled.known.insert(key, (value.clone(), index));
        result
    }

    /// Tries the members for the best.
    fn choose(
        &mut self,
        plan: &UnionPlan,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<Choice<O::Value>> {
        if !plan.left_to_right
            && let Some(member) = self.exact_scalar(plan, value)?
        {
            let mark = self.issues.len();
            self.fit = Fit::Exact;
            match self.check(plan.members[member].node, at, value.clone()) {
                Ok(done) if self.fit == Fit::Exact => {
                    return Ok(Choice { done, index: member, fit: Fit::Exact, fields: None });
                }
                Err(Stop::Abort) => return Err(Stop::Abort),
                _ => {}
            }
            self.output.refusal();
            self.issues.truncate(mark);
        }
        let mut best: Option<Choice<O::Value>> = None;
        for (index, member) in plan.members.iter().enumerate() {
            let mark = self.issues.len();
            (self.fit, self.fields) = (Fit::Exact, None);
            match self.check(member.node, at, value.clone()) {
                Ok(done) => {
                    let (fit, fields) = (self.fit, self.fields);
                    let choice = Choice { done, index, fit, fields };
                    if plan.left_to_right || (fit == Fit::Exact && fields.is_none()) {
                        return Ok(choice);
                    }
                    let better = best.as_ref().is_none_or(|best| match (best.fields, fields) {
                        (Some(known), Some(new)) if known != new => new > known,
                        _ => fit < best.fit,
                    });
                    if better {
                        best = Some(choice);
                    }
                }
                Err(Stop::Abort) => return Err(Stop::Abort),
                Err(Stop::Invalid) => {
                    self.report_refusal(value);
                    self.issues.locate(mark, &member.label);
                }
            }
        }
        // Whatever was read last, the value ends where it ends.
        self.input.skip(value)?;
        best.ok_or(Stop::Invalid)
    }

    /// The first member that may take the value as it is, if that is a scalar.
    fn exact_scalar(&mut self, plan: &UnionPlan, value: &I::Value) -> Checked<Option<usize>> {
        let program = self.program;
        let found = self.input.get(value)?;
        let member =
            plan.members.iter().position(|member| may_be_exact(program, member.node, &found));
        Ok(member.filter(|member| takes_exactly(program, plan.members[*member].node, &found)))
    }

    fn check_tagged(
        &mut self,
        plan: &UnionPlan,
        tag: &TagPlan,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        let program = self.program;
        for member in &plan.members {
            if let Some(record) = program.record_of(member.node)
                && self.input.is_instance(value, record)?
            {
                return self.check(member.node, at, value.clone());
            }
        }
        let Some(mut entries) = self.input.map(value, Some(&tag.record), strict)? else {
            let code =
                if tag.record.from_attributes { Code::ModelAttributesType } else { Code::DictType };
            return self.fail(value, code, Ctx::new());
        };
        let mut found = None;
        loop {
            match self.input.next_field(&mut entries, &tag.record, 0)? {
                Entry::Field(_, item) => {
                    self.input.skip(&item)?;
                    found = Some(item);
                }
                Entry::Unknown(item) => self.input.skip(&item)?,
                Entry::End => break,
            }
        }
        let discriminator =
            || ("discriminator", Param::Str(format!("'{}'", tag.record.fields[0].name).into()));
        let Some(item) = found else {
            return self.fail(value, Code::UnionTagNotFound, smallvec![discriminator()]);
        };
        let (member, shown) = match self.input.get(&item)? {
            Found::Str(text) => (tag.texts.get(text).copied(), text.to_owned()),
            Found::Int(int) => (tag.ints.get(&int).copied(), int.to_string()),
            other => (None, shown(&other)),
        };
        let Some(member) = member else {
            let ctx = smallvec![
                discriminator(),
                ("tag", Param::Str(shown.into())),
                ("expected_tags", Param::Str(tag.expected.as_str().into())),
            ];
            return self.fail(value, Code::UnionTagInvalid, ctx);
        };
        let mark = self.issues.len();
        self.check(plan.members[member].node, at, value.clone()).inspect_err(|_| {
            self.issues.locate(mark, &plan.members[member].label);
        })
    }
}

/// A tag of a kind that no tag has.
#[cold]
fn shown(found: &Found<'_>) -> String {
    match found {
        Found::Null => "None".to_owned(),
        Found::Bool(true) => "True".to_owned(),
        Found::Bool(false) => "False".to_owned(),
        Found::Float(float) => format!("{float:?}"),
        other => format!("{other:?}"),
    }
}
