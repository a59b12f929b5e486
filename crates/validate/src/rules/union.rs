//! Unions: one of several types.

use ottava_core::schema::{Kind, Rules, Type, UnionMode, Value};
use rustc_hash::FxHashMap;
use smallvec::smallvec;

use crate::check::{Fit, Run};
use crate::input::{Entry, Found, Input};
use crate::issue::{Code, Ctx, Echo, Loc, Param};
use crate::output::{Checked, Output, Stop};
use crate::program::{NodeId, Op, Program, RecordPlan};
use crate::rules::choice::{repr, whole};
use crate::tree::TreeOutput;

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
    /// Enums whose members are tags of a member.
    pub(crate) enums: Vec<(u32, usize)>,
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

/// Whether the node may take JSON text better than as text.
fn may_beat_text(program: &Program, node: NodeId) -> bool {
    match &program.node(node).op {
        Op::Alias(inner) | Op::Nullable(inner) => may_beat_text(program, *inner),
        Op::Uuid | Op::Hook(..) | Op::Union(_) | Op::Assert(_) | Op::Pending => true,
        _ => false,
    }
}

/// How the tag chooses, if the node is a union that goes by one.
fn tag_of(program: &Program, node: NodeId) -> Option<&TagPlan> {
    match &program.node(node).op {
        Op::Alias(inner) => tag_of(program, *inner),
        Op::Union(plan) => plan.tag.as_deref(),
        _ => None,
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
            && let Some((member, best)) = self.exact_scalar(plan, value)?
        {
            let mark = self.issues.len();
            self.fit = Fit::Exact;
            match self.check(plan.members[member].node, at, value.clone()) {
                Ok(done) if self.fit == best => {
                    return Ok(Choice { done, index: member, fit: best, fields: None });
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

    /// The first member that may take the value as it is, if that is a scalar, and the fit that no other member can beat then.
    fn exact_scalar(
        &mut self,
        plan: &UnionPlan,
        value: &I::Value,
    ) -> Checked<Option<(usize, Fit)>> {
        let program = self.program;
        let found = self.input.get(value)?;
        let member =
            plan.members.iter().position(|member| may_be_exact(program, member.node, &found));
        let Some(member) = member else { return Ok(None) };
        if !takes_exactly(program, plan.members[member].node, &found) {
            return Ok(None);
        }
        let best = match found {
            Found::Str(_) if I::IS_JSON => {
                let mut later = plan.members[member + 1..].iter();
                if later.any(|member| may_beat_text(program, member.node)) {
                    return Ok(None);
                }
                Fit::Strict
            }
            _ => Fit::Exact,
        };
        Ok(Some((member, best)))
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
            let code = if I::IS_JSON { Code::DictType } else { Code::ModelAttributesType };
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
        let mut member = match self.input.get(&item)? {
            Found::Str(text) => tag.texts.get(text).copied(),
            Found::Int(int) => tag.ints.get(&int).copied(),
            // Equal numbers are one value, as in a literal.
            found => whole(found).and_then(|int| tag.ints.get(&int).copied()),
        };
        for (number, index) in &tag.enums {
            if member.is_none() {
                let found = self.input.enum_member(&item, &program.enums[*number as usize])?;
                member = found.map(|_| *index);
            }
        }
        let Some(member) = member else {
            let shown = self.shown_tag(&item)?;
            let ctx = smallvec![
                discriminator(),
                ("tag", shown),
                ("expected_tags", Param::Str(tag.expected.as_str().into())),
            ];
            return self.fail(value, Code::UnionTagInvalid, ctx);
        };
        let mark = self.issues.len();
        match self.check(plan.members[member].node, at, value.clone()) {
            // A union inside that goes by the same field has said where it was.
            Err(Stop::Invalid)
                if !O::FIRST_ISSUE_ONLY
                    && tag_of(program, plan.members[member].node)
                        .is_none_or(|inner| inner.record.name != tag.record.name) =>
            {
                let step = self.tag_step(tag, &item)?;
                let step = step.unwrap_or_else(|| plan.members[member].label.clone());
                self.issues.locate(mark, &step);
                Err(Stop::Invalid)
            }
            checked => checked,
        }
    }

    /// The step that issues show for a tag.
    #[cold]
    fn tag_step(&mut self, tag: &TagPlan, item: &I::Value) -> Checked<Option<Loc>> {
        match self.input.get(item)? {
            Found::Str(text) => return Ok(Some(Loc::Name(text.into()))),
            Found::Int(int) => return Ok(Some(Loc::Tag(int))),
            Found::Bool(flag) => return Ok(Some(Loc::Tag(flag.into()))),
            Found::Float(float) => return Ok(Some(Loc::Name(format!("{float:?}").into()))),
            _ => {}
        }
        let program = self.program;
        for (number, _) in &tag.enums {
            let plan = &program.enums[*number as usize];
            if let Some(index) = self.input.enum_member(item, plan)? {
                return Ok(match &plan.members[index].value {
                    Value::Str(text) => Some(Loc::Name(text.as_str().into())),
                    Value::Int(int) => Some(Loc::Tag(*int)),
                    _ => None,
                });
            }
        }
        Ok(None)
    }

    /// A tag that no member has, as the host or Python writes it.
    #[cold]
    fn shown_tag(&mut self, item: &I::Value) -> Checked<Param> {
        if let Found::Str(text) = self.input.get(item)? {
            return Ok(Param::Str(text.into()));
        }
        if let Echo::Host(number) = self.input.echo(item) {
            return Ok(Param::Host(number));
        }
        let value = self.aside(&mut TreeOutput, |run| run.check_any((), item))?;
        Ok(Param::Str(repr(&value).into()))
    }
}

/// What a member of a union is called in the paths of issues, in pydantic's words.
pub(crate) fn label(ty: &Type) -> String {
    let ruled = |name: &str| {
        if ty.rules == Rules::default() { name.to_owned() } else { format!("constrained-{name}") }
    };
    let all = |types: &[Type]| types.iter().map(label).collect::<Vec<_>>().join(", ");
    let name = match &ty.kind {
        Kind::Any => "any".to_owned(),
        Kind::Null => "none".to_owned(),
        Kind::Bool => "bool".to_owned(),
        Kind::Int(_) => ruled("int"),
        Kind::Float(_) => ruled("float"),
        Kind::Str => ruled("str"),
        Kind::Bytes => ruled("bytes"),
        Kind::Decimal => "decimal".to_owned(),
        Kind::DateTime { .. } => "datetime".to_owned(),
        Kind::Date => "date".to_owned(),
        Kind::Time => "time".to_owned(),
        Kind::Duration => "timedelta".to_owned(),
        Kind::Uuid => "uuid".to_owned(),
        Kind::Enum(declared) => declared.name.clone(),
        Kind::Literal(values) => {
            format!("literal[{}]", values.iter().map(repr).collect::<Vec<_>>().join(","))
        }
        Kind::List(item) | Kind::FixedList(item, _) => format!("list[{}]", label(item)),
        Kind::Set(item) => format!("set[{}]", label(item)),
        Kind::FrozenSet(item) => format!("frozenset[{}]", label(item)),
        Kind::Tuple { items, rest: None } => format!("tuple[{}]", all(items)),
        Kind::Tuple { items, rest: Some(rest) } if items.is_empty() => {
            format!("tuple[{}, ...]", label(rest))
        }
        Kind::Tuple { items, rest: Some(rest) } => {
            format!("tuple[{}, {}, ...]", all(items), label(rest))
        }
        Kind::Dict(key, value) => format!("dict[{},{}]", label(key), label(value)),
        Kind::Union(union) => {
            format!("union[{}]", union.members.iter().map(label).collect::<Vec<_>>().join(","))
        }
        Kind::Record(record) => record.name.clone(),
        Kind::Ref(name) => name.clone(),
        Kind::Schema(_) => "schema".to_owned(),
        other => format!("{other:?}"),
    };
    if ty.nullable { format!("nullable[{name}]") } else { name }
}
