//! Assertions of a JSON Schema: about each kind of value, and how they combine.

use ottava_core::schema::JsonKind;
use rustc_hash::FxHashMap;
use smallvec::smallvec;

use super::collection::{SizeRules, count};
use super::number::{Bounds, Number};
use super::temporal::is_format;
use super::text::StrRules;
use super::union::Settled;
use crate::check::{Fit, Run};
use crate::distinct::{Distinct, key_of};
use crate::input::{Collection, Found, Input};
use crate::issue::{Code, Ctx, Issues, Loc, Param};
use crate::nothing::Nothing;
use crate::output::{Checked, Output, Stop};
use crate::pattern::Pattern;
use crate::program::NodeId;
use crate::tree::TreeOutput;

/// Most times that schemas inside of alternatives are tried for one value: a schema that contains itself in two alternatives could
/// make it twice as many with each level of the value.
const MOST_TRIALS: usize = 5_000_000;

/// Compiled assertions.
#[derive(Debug)]
pub(crate) struct AssertPlan {
    pub(crate) never: bool,
    pub(crate) kinds: Option<Vec<JsonKind>>,
    /// The keys of the values that are right, and how issues show them.
    pub(crate) values: Option<(Vec<Box<[u8]>>, String)>,
    pub(crate) bounds: Option<Bounds>,
    pub(crate) text: Option<StrRules>,
    pub(crate) format: Option<String>,
    pub(crate) array: Option<ArrayPlan>,
    pub(crate) object: Option<ObjectPlan>,
    pub(crate) all_of: Vec<NodeId>,
    pub(crate) any_of: Vec<NodeId>,
    pub(crate) one_of: Vec<NodeId>,
    pub(crate) not: Option<NodeId>,
    pub(crate) condition: Option<(NodeId, Option<NodeId>, Option<NodeId>)>,
}

impl AssertPlan {
    /// Calls `each` with the nodes that it refers to.
    pub(crate) fn each_part(&self, mut each: impl FnMut(NodeId)) {
        let alternatives = self.all_of.iter().chain(&self.any_of).chain(&self.one_of);
        alternatives.chain(&self.not).copied().for_each(&mut each);
        if let Some((condition, then, otherwise)) = &self.condition {
            [Some(*condition), *then, *otherwise].into_iter().flatten().for_each(&mut each);
        }
        if let Some(array) = &self.array {
            array.prefix.iter().chain(&array.items).copied().for_each(&mut each);
            array.contains.iter().for_each(|(node, _)| each(*node));
        }
        if let Some(object) = &self.object {
            object.properties.values().copied().for_each(&mut each);
            object.patterns.iter().for_each(|(_, node)| each(*node));
            object.additional.iter().chain(&object.names).copied().for_each(&mut each);
            object.dependent.iter().for_each(|(_, node)| each(*node));
        }
    }
}

#[derive(Debug)]
pub(crate) struct ArrayPlan {
    pub(crate) prefix: Vec<NodeId>,
    pub(crate) items: Option<NodeId>,
    pub(crate) contains: Option<(NodeId, SizeRules)>,
    pub(crate) size: SizeRules,
    pub(crate) unique: bool,
}

#[derive(Debug)]
pub(crate) struct ObjectPlan {
    pub(crate) properties: FxHashMap<Box<str>, NodeId>,
    pub(crate) patterns: Vec<(Pattern, NodeId)>,
    pub(crate) additional: Option<NodeId>,
    pub(crate) names: Option<NodeId>,
    pub(crate) required: Vec<Box<str>>,
    pub(crate) dependent_required: Vec<(Box<str>, Vec<Box<str>>)>,
    pub(crate) dependent: Vec<(Box<str>, NodeId)>,
    pub(crate) size: SizeRules,
}

/// The names of kinds, as JSON Schema has them.
pub(crate) fn name_of(kind: JsonKind) -> &'static str {
    match kind {
        JsonKind::Null => "null",
        JsonKind::Boolean => "boolean",
        JsonKind::Integer => "integer",
        JsonKind::Number => "number",
        JsonKind::String => "string",
        JsonKind::Array => "array",
        JsonKind::Object => "object",
    }
}

fn is_kind(kind: JsonKind, found: &Found<'_>) -> bool {
    match kind {
        JsonKind::Null => matches!(found, Found::Null),
        JsonKind::Boolean => matches!(found, Found::Bool(_)),
        JsonKind::Integer => match found {
            Found::Int(_) | Found::BigInt(_) => true,
            Found::Float(float) => float.is_finite() && float.fract() == 0.0,
            _ => false,
        },
        JsonKind::Number => matches!(found, Found::Int(_) | Found::BigInt(_) | Found::Float(_)),
        JsonKind::String => matches!(found, Found::Str(_)),
        JsonKind::Array => matches!(found, Found::Seq(Collection::List | Collection::Tuple)),
        JsonKind::Object => matches!(found, Found::Map),
    }
}

/// What has been found out about a value before its parts are looked at.
enum Shape {
    Scalar,
    Array,
    Object,
}

impl<I: Input, O: Output> Run<'_, I, O> {
    pub(crate) fn check_assertions(
        &mut self,
        plan: &AssertPlan,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        if !self.verified {
            self.aside(&mut Nothing::<false>, |run| run.assert_all(plan, value))?;
        }
        self.check_any(at, value)
    }

    /// Runs `body` into another output, over the same input and the same issues.
    pub(crate) fn aside<P: Output, T>(
        &mut self,
        output: &mut P,
        body: impl FnOnce(&mut Run<'_, I, P>) -> Checked<T>,
    ) -> Checked<T> {
        let mut run = Run {
            program: self.program,
            input: &mut *self.input,
            output,
            issues: &mut *self.issues,
            depth: self.depth,
            max_depth: self.max_depth,
            fit: Fit::Exact,
            fields: None,
            in_union: false,
            verified: self.verified,
            force_strict: self.force_strict,
            trials: self.trials,
            nested: self.nested,
            of_json: self.of_json,
            settled: Settled::default(),
            under_way: std::mem::take(&mut self.under_way),
        };
        let result = body(&mut run);
        self.trials = run.trials;
        self.under_way = std::mem::take(&mut run.under_way);
        result
    }
}

impl<I: Input> Run<'_, I, Nothing<false>> {
    /// Checks all assertions; every one that fails leaves an issue.
    fn assert_all(&mut self, plan: &AssertPlan, value: &I::Value) -> Checked<()> {
        let mark = self.issues.found();
        self.assert_itself(plan, value).or_else(unless_abort)?;
        let shape = match self.input.get(value)? {
            Found::Seq(_) => Shape::Array,
            Found::Map => Shape::Object,
            _ => Shape::Scalar,
        };
        match (shape, &plan.array, &plan.object) {
            (Shape::Array, Some(array), _) => {
                self.deeper(value, |run| run.assert_array(array, value))
            }
            (Shape::Object, _, Some(object)) => {
                self.deeper(value, |run| run.assert_object(object, value))
            }
            _ => Ok(()),
        }
        .or_else(unless_abort)?;
        for node in &plan.all_of {
            self.count_trial()?;
            let nested = std::mem::replace(&mut self.nested, true);
            let checked = self.check(*node, (), value.clone());
            self.nested = nested;
            checked.or_else(unless_abort)?;
        }
        if !plan.any_of.is_empty() && self.matches(&plan.any_of, value, 1)? == 0 {
            self.fail(value, Code::NoMatch, Ctx::new()).or_else(unless_abort)?;
        }
        if !plan.one_of.is_empty() {
            let matches = self.matches(&plan.one_of, value, usize::MAX)?;
            if matches != 1 {
                let ctx = smallvec![("matches", count(matches))];
                self.fail(value, Code::NotOneMatch, ctx).or_else(unless_abort)?;
            }
        }
        if let Some(not) = plan.not
            && self.holds(not, value)?
        {
            self.fail(value, Code::Excluded, Ctx::new()).or_else(unless_abort)?;
        }
        if let Some((condition, then, otherwise)) = plan.condition {
            let next = if self.holds(condition, value)? { then } else { otherwise };
            if let Some(next) = next {
                self.check(next, (), value.clone()).or_else(unless_abort)?;
            }
        }
        if self.issues.found() == mark { Ok(()) } else { Err(Stop::Invalid) }
    }

    /// Checks what can be said without looking at the parts of the value.
    fn assert_itself(&mut self, plan: &AssertPlan, value: &I::Value) -> Checked<()> {
        if plan.never {
            return self.fail(value, Code::NothingAllowed, Ctx::new());
        }
        let found = self.input.get(value)?;
        if let Some(kinds) = &plan.kinds
            && !kinds.iter().any(|kind| is_kind(*kind, &found))
        {
            let (code, ctx) = wrong_kind(kinds);
            return self.fail(value, code, ctx);
        }
        let broken = match found {
            Found::Int(int) => {
                plan.bounds.as_ref().and_then(|bounds| bounds.broken(&Number::Int(int)))
            }
            Found::Float(float) => {
                plan.bounds.as_ref().and_then(|bounds| bounds.broken(&Number::Float(float)))
            }
            Found::BigInt(digits) => plan.bounds.as_ref().and_then(|bounds| {
                digits.parse().ok().and_then(|big| bounds.broken(&Number::Big(big)))
            }),
            Found::Str(text) => {
                let broken = match &plan.text {
                    Some(rules) => rules.broken(text)?,
                    None => None,
                };
                broken.or_else(|| match &plan.format {
                    Some(format) if !is_format(format, text) => {
                        let format = Param::Str(format.as_str().into());
                        Some((Code::StringFormat, smallvec![("format", format)]))
                    }
                    _ => None,
                })
            }
            _ => None,
        };
        if let Some((code, ctx)) = broken {
            return self.fail(value, code, ctx);
        }
        if let Some((keys, shown)) = &plan.values {
            let tree = self.tree(value)?;
            if !key_of(&tree).is_some_and(|key| keys.contains(&key)) {
                let expected = Param::Str(shown.as_str().into());
                return self.fail(value, Code::LiteralError, smallvec![("expected", expected)]);
            }
        }
        Ok(())
    }

    fn count_trial(&mut self) -> Checked<()> {
        self.trials = if self.nested { self.trials + 1 } else { 0 };
        if self.trials > MOST_TRIALS { Err(self.input.give_up()) } else { Ok(()) }
    }

    fn tree(&mut self, value: &I::Value) -> Checked<ottava_core::schema::Value> {
        self.aside(&mut TreeOutput, |run| run.check_any((), value))
    }

    /// Whether the value passes a schema; nothing is reported.
    fn holds(&mut self, node: NodeId, value: &I::Value) -> Checked<bool> {
        // Given up whole where it takes too long: neither answer would be right for every caller.
        self.count_trial()?;
        let mut issues = Issues::new(1);
        let mut run = Run {
            program: self.program,
            input: &mut *self.input,
            output: &mut Nothing::<true>,
            issues: &mut issues,
            depth: self.depth,
            max_depth: self.max_depth,
            fit: Fit::Exact,
            fields: None,
            in_union: false,
            verified: self.verified,
            force_strict: self.force_strict,
            trials: self.trials,
            nested: true,
            of_json: self.of_json,
            settled: Settled::default(),
            under_way: std::mem::take(&mut self.under_way),
        };
        let result = run.check(node, (), value.clone());
        self.trials = run.trials;
        self.under_way = std::mem::take(&mut run.under_way);
        match result {
            Ok(()) => Ok(true),
            Err(Stop::Invalid) => Ok(false),
            Err(Stop::Abort) => Err(Stop::Abort),
        }
    }

    /// How many of the schemas the value passes; counting ends at `enough`.
    fn matches(&mut self, nodes: &[NodeId], value: &I::Value, enough: usize) -> Checked<usize> {
        let mut matches = 0;
        for node in nodes {
            matches += usize::from(self.holds(*node, value)?);
            if matches >= enough {
                break;
            }
        }
        Ok(matches)
    }

    fn assert_array(&mut self, plan: &ArrayPlan, value: &I::Value) -> Checked<()> {
        let Some(mut items) = self.input.seq(value, Collection::List, false)? else {
            return self.fail(value, Code::ListType, Ctx::new());
        };
        let (mut length, mut matching) = (0, 0);
        let mut seen = plan.unique.then(Distinct::default);
        while let Some(item) = self.input.next_item(&mut items)? {
            let mark = self.issues.len();
            if let Some(node) = plan.prefix.get(length).copied().or(plan.items) {
                self.check(node, (), item.clone()).or_else(unless_abort)?;
            }
            if let Some((node, _)) = plan.contains {
                matching += usize::from(self.holds(node, &item)?);
            }
            if let Some(seen) = &mut seen {
                let tree = self.tree(&item)?;
                if !seen.insert(&tree) {
                    self.fail(&item, Code::UniqueItems, Ctx::new()).or_else(unless_abort)?;
                }
            }
            self.issues.locate(mark, &Loc::Index(length));
            self.input.skip(&item)?;
            length += 1;
        }
        let list = || ("field_type", Param::Str("List".into()));
        if length < plan.size.min {
            let ctx = smallvec![
                list(),
                ("min_length", count(plan.size.min)),
                ("actual_length", count(length)),
            ];
            self.fail(value, Code::TooShort, ctx).or_else(unless_abort)?;
        }
        if length > plan.size.max {
            let ctx = smallvec![
                list(),
                ("max_length", count(plan.size.max)),
                ("actual_length", count(length)),
            ];
            self.fail(value, Code::TooLong, ctx).or_else(unless_abort)?;
        }
        if let Some((_, wanted)) = plan.contains {
            let actual = ("actual", count(matching));
            if matching < wanted.min {
                let ctx = smallvec![("min_contains", count(wanted.min)), actual];
                self.fail(value, Code::Contains, ctx).or_else(unless_abort)?;
            } else if matching > wanted.max {
                let ctx = smallvec![("max_contains", count(wanted.max)), actual];
                self.fail(value, Code::ContainsTooMany, ctx).or_else(unless_abort)?;
            }
        }
        Ok(())
    }

    fn assert_object(&mut self, plan: &ObjectPlan, value: &I::Value) -> Checked<()> {
        let Some(mut entries) = self.input.map(value, None, false)? else {
            return self.fail(value, Code::DictType, Ctx::new());
        };
        // The last value of each key counts.
        let mut found: Vec<(Box<str>, I::Value, I::Value)> = Vec::new();
        let mut places: std::collections::HashMap<Box<str>, usize> =
            std::collections::HashMap::new();
        while let Some(key) = self.input.next_key(&mut entries)? {
            let Some(name) = self.input.str(&key)?.map(Box::<str>::from) else {
                return self.fail(&key, Code::InvalidKey, Ctx::new());
            };
            let item = self.input.entry_value(&mut entries)?;
            self.input.skip(&item)?;
            match places.get(&name) {
                Some(place) => found[*place].2 = item,
                None => {
                    places.insert(name.clone(), found.len());
                    found.push((name, key, item));
                }
            }
        }
        for (name, key, item) in &found {
            let mark = self.issues.len();
            let mut known = false;
            if let Some(node) = plan.properties.get(name) {
                known = true;
                self.check(*node, (), item.clone()).or_else(unless_abort)?;
            }
            for (pattern, node) in &plan.patterns {
                if pattern.find(name)? {
                    known = true;
                    self.check(*node, (), item.clone()).or_else(unless_abort)?;
                }
            }
            if let Some(node) = plan.additional.filter(|_| !known) {
                self.check(node, (), item.clone()).or_else(unless_abort)?;
            }
            self.issues.locate(mark, &Loc::Name(name.as_ref().into()));
            if let Some(node) = plan.names {
                let mark = self.issues.len();
                self.check(node, (), key.clone()).or_else(unless_abort)?;
                self.issues.locate(mark, &Loc::Name("[key]".into()));
                self.issues.locate(mark, &Loc::Name(name.as_ref().into()));
            }
        }
        for name in plan.required.iter().filter(|name| !places.contains_key(*name)) {
            let mark = self.issues.len();
            self.fail(value, Code::Missing, Ctx::new()).or_else(unless_abort)?;
            self.issues.locate(mark, &Loc::Name(name.as_ref().into()));
        }
        for (property, needed) in &plan.dependent_required {
            if !places.contains_key(property) {
                continue;
            }
            for name in needed.iter().filter(|name| !places.contains_key(*name)) {
                let mark = self.issues.len();
                let ctx = smallvec![("property", Param::Str(property.to_string().into()))];
                self.fail(value, Code::DependentRequired, ctx).or_else(unless_abort)?;
                self.issues.locate(mark, &Loc::Name(name.as_ref().into()));
            }
        }
        for (property, node) in &plan.dependent {
            if places.contains_key(property) {
                self.check(*node, (), value.clone()).or_else(unless_abort)?;
            }
        }
        let actual = ("actual", count(found.len()));
        if found.len() < plan.size.min {
            let ctx = smallvec![("min_properties", count(plan.size.min)), actual];
            self.fail(value, Code::TooFewProperties, ctx).or_else(unless_abort)?;
        } else if found.len() > plan.size.max {
            let ctx = smallvec![("max_properties", count(plan.size.max)), actual];
            self.fail(value, Code::TooManyProperties, ctx).or_else(unless_abort)?;
        }
        self.input.skip(value)
    }
}

/// A wrong part does not end the check of the whole; a broken input does.
fn unless_abort(stop: Stop) -> Checked<()> {
    match stop {
        Stop::Invalid => Ok(()),
        Stop::Abort => Err(Stop::Abort),
    }
}

fn wrong_kind(kinds: &[JsonKind]) -> (Code, Ctx) {
    let code = match kinds {
        [JsonKind::Null] => Code::NoneRequired,
        [JsonKind::Boolean] => Code::BoolType,
        [JsonKind::Integer] => Code::IntType,
        [JsonKind::Number] => Code::FloatType,
        [JsonKind::String] => Code::StringType,
        [JsonKind::Array] => Code::ListType,
        [JsonKind::Object] => Code::DictType,
        kinds => {
            let names: Vec<_> = kinds.iter().map(|kind| name_of(*kind)).collect();
            return (
                Code::TypeMismatch,
                smallvec![("expected", Param::Str(names.join(" or ").into()))],
            );
        }
    };
    (code, Ctx::new())
}
