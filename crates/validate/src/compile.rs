//! From a declaration to a program.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ottava_core::schema::{
    ArrayAssertions, Assertions, Config, Date, DateTime, Declaration, Duration, EnumType, Extra,
    FieldDefault, Form, Kind, ObjectAssertions, Record, Rules, Time, Type, Union, UnionMode, Value,
};
use rustc_hash::FxHashMap;

use crate::distinct::key_of;
use crate::error::SchemaError;
use crate::input::Collection;
use crate::issue::Loc;
use crate::json::QuotedKey;
use crate::pattern::{Pattern, PatternEngine};
use crate::placement::misplaced;
use crate::program::{
    Choices, DictPlan, EnumPlan, FieldPlan, LiteralPlan, Node, NodeId, Op, Program, RecordPlan,
    SeqPlan,
};
use crate::recursion::{MOST_INSIDE, Recursion, recursion};
use crate::rules::assertions::{ArrayPlan, AssertPlan, ObjectPlan};
use crate::rules::bytes::DecimalRules;
use crate::rules::choice::repr;
use crate::rules::collection::SizeRules;
use crate::rules::number::{Bounds, FloatRules, IntRules};
use crate::rules::temporal::{FORMATS, TimeBounds};
use crate::rules::text::StrRules;
use crate::rules::union::{Member, TagPlan, UnionPlan, label};

/// Compiles a declaration. `engine` takes the patterns that no automaton can match.
pub(crate) fn compile(
    declaration: &Declaration,
    engine: Option<&dyn PatternEngine>,
) -> Result<Program, SchemaError> {
    let mut definitions = HashMap::new();
    for (name, definition) in &declaration.definitions {
        if definitions.insert(name.as_str(), definition).is_some() {
            return Err(SchemaError::Duplicate {
                place: "definitions".to_owned(),
                name: name.clone(),
            });
        }
    }
    let mut compiler = Compiler {
        program: Program {
            nodes: Vec::new(),
            records: Vec::new(),
            enums: Vec::new(),
            literals: Vec::new(),
            root: NodeId(0),
            any: NodeId(0),
            needs_host: false,
        },
        definitions,
        compiled: HashMap::new(),
        waiting: VecDeque::new(),
        engine,
        path: vec![declaration.name.clone()],
    };
    compiler.check_recursion(declaration)?;
    compiler.program.any = compiler.add(Op::Any, false);
    compiler.program.root = compiler.compile_type(&declaration.root, false)?;
    // Definitions that nothing refers to must be right, too.
    for (name, definition) in &declaration.definitions {
        compiler.reference(name, definition, Strictness::default());
    }
    compiler.finish()
}

/// Any date and time, as an example of what a bound must be.
const EPOCH: DateTime = DateTime {
    date: Date { year: 1970, month: 1, day: 1 },
    time: Time { hour: 0, minute: 0, second: 0, micros: 0, offset: None },
};

/// How strict a type is where nothing in it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Strictness {
    /// What was said of this very type.
    own: Option<bool>,
    /// What the record around it says, of this type and all inside it up to the next record.
    around: bool,
}

impl Strictness {
    fn around(around: bool) -> Self {
        Self { own: None, around }
    }

    fn of(self) -> bool {
        self.own.unwrap_or(self.around)
    }
}

struct Compiler<'d> {
    program: Program,
    definitions: HashMap<&'d str, &'d Type>,
    /// The node of each definition, in each way in which it is strict.
    compiled: HashMap<(&'d str, Strictness), NodeId>,
    /// Definitions that are referred to and not compiled yet: one may lead to another further than a stack goes.
    waiting: VecDeque<(NodeId, &'d str, &'d Type, Strictness)>,
    engine: Option<&'d dyn PatternEngine>,
    path: Vec<String>,
}

impl<'d> Compiler<'d> {
    fn place(&self) -> String {
        self.path.join(".")
    }

    fn add(&mut self, op: Op, strict: bool) -> NodeId {
        self.program.nodes.push(Node { op, strict, loops: false });
        NodeId(self.program.nodes.len() as u32 - 1)
    }

    fn at<T>(
        &mut self,
        step: impl Into<String>,
        body: impl FnOnce(&mut Self) -> Result<T, SchemaError>,
    ) -> Result<T, SchemaError> {
        self.path.push(step.into());
        let result = body(self);
        self.path.pop();
        result
    }

    fn check_recursion(&self, declaration: &Declaration) -> Result<(), SchemaError> {
        let place = self.place();
        match recursion(&declaration.definitions) {
            None => Ok(()),
            Some(Recursion::Endless(name)) => {
                Err(SchemaError::EmptyRecursion { place, name: name.to_owned() })
            }
            Some(Recursion::Deep(name)) => {
                let reason = format!(
                    "definition '{name}' checks a value by more than {MOST_INSIDE} others inside of each other"
                );
                Err(SchemaError::Type { place, reason })
            }
        }
    }

    /// The node of a definition, which is filled in later.
    fn reference(&mut self, name: &'d str, definition: &'d Type, mut strict: Strictness) -> NodeId {
        if matches!(definition.kind, Kind::Record(_)) {
            // What is around a record does not reach into it.
            strict.around = false;
        }
        if let Some(id) = self.compiled.get(&(name, strict)) {
            return *id;
        }
        let id = self.add(Op::Pending, strict.of());
        self.compiled.insert((name, strict), id);
        self.waiting.push_back((id, name, definition, strict));
        id
    }

    /// Compiles the definitions that are waiting, and those that they refer to.
    fn finish(mut self) -> Result<Program, SchemaError> {
        let mut filled = Vec::new();
        while let Some((id, name, definition, strict)) = self.waiting.pop_front() {
            let inner = self.at(name, |this| this.compile_as(definition, strict))?;
            self.program.nodes[id.index()].op = Op::Alias(inner);
            filled.push(id);
        }
        // A definition that is only another one leads straight to the end of such a chain.
        for id in filled {
            let mut chain = Vec::new();
            let mut at = id;
            while let Op::Alias(inner) = self.program.node(at).op {
                chain.push(at);
                at = inner;
            }
            for alias in chain {
                self.program.nodes[alias.index()].op = Op::Alias(at);
            }
        }
        self.program.mark_loops();
        Ok(self.program)
    }

    fn compile_type(&mut self, ty: &'d Type, around: bool) -> Result<NodeId, SchemaError> {
        self.compile_as(ty, Strictness::around(around))
    }

    fn compile_as(&mut self, ty: &'d Type, strict: Strictness) -> Result<NodeId, SchemaError> {
        let strict = Strictness { own: ty.strict.or(strict.own), ..strict };
        let mut id = self.compile_kind(ty, strict)?;
        if ty.nullable && !matches!(ty.kind, Kind::Any | Kind::Null) {
            id = self.add(Op::Nullable(id), strict.of());
        }
        for hook in ty.hooks.iter().rev() {
            self.program.needs_host = true;
            id = self.add(Op::Hook(*hook, id), strict.of());
        }
        Ok(id)
    }

    fn compile_kind(
        &mut self,
        ty: &'d Type,
        strictness: Strictness,
    ) -> Result<NodeId, SchemaError> {
        let (mut strict, around) = (strictness.of(), strictness.around);
        let rules = &ty.rules;
        self.check_rules(&ty.kind, rules)?;
        let op = match &ty.kind {
            Kind::Any => Op::Any,
            Kind::Null => Op::Null,
            Kind::Bool => Op::Bool,
            Kind::Int(width) => {
                let rules = IntRules::compile(*width, rules);
                Op::Int(rules.map_err(|rule| self.bad_rule(rule, "is no bound of a number"))?)
            }
            Kind::Float(width) => {
                let rules = FloatRules::compile(*width, rules);
                Op::Float(rules.map_err(|rule| self.bad_rule(rule, "is no bound of a number"))?)
            }
            Kind::Str => Op::Str(Arc::new(self.str_rules(rules)?)),
            Kind::DateTime { aware, .. } => {
                let mut bounds = self.time_bounds(rules, &Value::DateTime(EPOCH))?;
                bounds.aware = *aware;
                Op::DateTime(bounds)
            }
            Kind::Date => Op::Date(self.time_bounds(rules, &Value::Date(EPOCH.date))?),
            Kind::Time => Op::Time(self.time_bounds(rules, &Value::Time(EPOCH.time))?),
            Kind::Duration => {
                let none = Value::Duration(Duration { micros: 0 });
                Op::Duration(self.time_bounds(rules, &none)?)
            }
            Kind::Enum(declared) => Op::Enum(self.compile_enum(declared)?),
            Kind::Literal(values) => Op::Literal(self.compile_literal(values)?),
            Kind::Decimal => {
                let rules = DecimalRules::compile(rules);
                Op::Decimal(Box::new(
                    rules.map_err(|rule| self.bad_rule(rule, "is no bound of a number"))?,
                ))
            }
            Kind::Bytes => Op::Bytes(SizeRules::new(rules)),
            Kind::Uuid => Op::Uuid,
            Kind::List(item) => self.seq(Collection::List, &[], Some(item), rules, around)?,
            Kind::Set(item) => self.seq(Collection::Set, &[], Some(item), rules, around)?,
            Kind::FrozenSet(item) => {
                self.seq(Collection::FrozenSet, &[], Some(item), rules, around)?
            }
            Kind::Tuple { items, rest } => {
                self.seq(Collection::Tuple, items, rest.as_deref(), rules, around)?
            }
            Kind::FixedList(item, length) => {
                let sized =
                    Rules { min_length: Some(*length), max_length: Some(*length), ..rules.clone() };
                self.seq(Collection::List, &[], Some(item), &sized, around)?
            }
            // What stands alone is no choice, and no step of a path.
            Kind::Union(Union { members, mode })
                if members.len() == 1 && !matches!(mode, UnionMode::Tagged(_)) =>
            {
                return self.compile_as(&members[0], strictness);
            }
            Kind::Union(union) => self.union(union, around)?,
            Kind::Schema(assertions) => Op::Assert(Box::new(self.assertions(assertions)?)),
            Kind::Dict(key, value) => {
                let key = self.at("{key}", |this| this.compile_type(key, around))?;
                let value = self.at("{}", |this| this.compile_type(value, around))?;
                Op::Dict(Box::new(DictPlan { key, value, size: SizeRules::new(rules) }))
            }
            Kind::Record(record) => {
                strict = strictness.own.unwrap_or(record.config.strict);
                Op::Record(self.compile_record(record)?)
            }
            Kind::Ref(name) => {
                let Some((name, definition)) = self.definitions.get_key_value(name.as_str()) else {
                    return Err(SchemaError::UnknownReference {
                        place: self.place(),
                        name: name.clone(),
                    });
                };
                let (name, definition) = (*name, *definition);
                return Ok(self.reference(name, definition, strictness));
            }
            other => {
                let reason = format!("type {other:?} is not supported");
                return Err(SchemaError::Type { place: self.place(), reason });
            }
        };
        Ok(self.add(op, strict))
    }

    fn seq(
        &mut self,
        kind: Collection,
        items: &'d [Type],
        rest: Option<&'d Type>,
        rules: &Rules,
        strict: bool,
    ) -> Result<Op, SchemaError> {
        let mut nodes = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            nodes.push(self.at(index.to_string(), |this| this.compile_type(item, strict))?);
        }
        let rest = match rest {
            Some(item) => Some(self.at("[]", |this| this.compile_type(item, strict))?),
            None => None,
        };
        Ok(Op::Seq(Box::new(SeqPlan {
            kind,
            items: nodes,
            rest,
            size: SizeRules::new(rules),
            unique: rules.unique_items,
        })))
    }

    fn union(&mut self, union: &'d Union, strict: bool) -> Result<Op, SchemaError> {
        if union.members.is_empty() {
            let reason = "union has no members".to_owned();
            return Err(SchemaError::Type { place: self.place(), reason });
        }
        let mut members = Vec::with_capacity(union.members.len());
        for member in &union.members {
            let label = label(member);
            let node = self.at(label.as_str(), |this| this.compile_type(member, strict))?;
            members.push(Member { node, label: Loc::Name(label.into()) });
        }
        let tag = match &union.mode {
            UnionMode::Tagged(name) => Some(Box::new(self.tag(name, union, &mut members)?)),
            _ => None,
        };
        Ok(Op::Union(Box::new(UnionPlan::new(&union.mode, members, tag))))
    }

    fn all(&mut self, step: &str, types: &'d [Type]) -> Result<Vec<NodeId>, SchemaError> {
        let compile =
            |(index, ty)| self.at(format!("{step}.{index}"), |this| this.compile_type(ty, true));
        types.iter().enumerate().map(compile).collect()
    }

    fn maybe(&mut self, step: &str, ty: Option<&'d Type>) -> Result<Option<NodeId>, SchemaError> {
        ty.map(|ty| self.at(step, |this| this.compile_type(ty, true))).transpose()
    }

    fn named(
        &mut self,
        step: &str,
        types: &'d [(String, Type)],
    ) -> Result<Vec<(Box<str>, NodeId)>, SchemaError> {
        let compile = |(name, ty): &'d (String, Type)| {
            let node = self.at(format!("{step}.{name}"), |this| this.compile_type(ty, true))?;
            Ok((name.as_str().into(), node))
        };
        types.iter().map(compile).collect()
    }

    fn assertions(&mut self, given: &'d Assertions) -> Result<AssertPlan, SchemaError> {
        let bounds = Bounds::compile(&given.rules)
            .map_err(|rule| self.bad_rule(rule, "is no bound of a number"))?;
        let text = self.str_rules(&given.rules)?;
        let condition = match &given.condition {
            None => None,
            Some(parts) => {
                let condition = self.at("if", |this| this.compile_type(&parts.condition, true))?;
                let then = self.maybe("then", parts.then.as_ref())?;
                Some((condition, then, self.maybe("else", parts.otherwise.as_ref())?))
            }
        };
        if let Some(format) = &given.format
            && !FORMATS.contains(&format.as_str())
        {
            let reason = format!("format '{format}' is not supported");
            return Err(SchemaError::Type { place: self.place(), reason });
        }
        Ok(AssertPlan {
            never: given.never,
            kinds: given.kinds.clone(),
            values: given.values.as_ref().map(|values| {
                let shown = Choices::new(values).expected;
                (values.iter().filter_map(key_of).collect(), shown)
            }),
            bounds: (!bounds.is_empty()).then_some(bounds),
            text: (!text.free).then_some(text),
            format: given.format.clone(),
            array: self.array(&given.array)?,
            object: self.object(&given.object)?,
            all_of: self.all("allOf", &given.all_of)?,
            any_of: self.all("anyOf", &given.any_of)?,
            one_of: self.all("oneOf", &given.one_of)?,
            not: self.maybe("not", given.not.as_deref())?,
            condition,
        })
    }

    fn array(&mut self, given: &'d ArrayAssertions) -> Result<Option<ArrayPlan>, SchemaError> {
        if *given == ArrayAssertions::default() {
            return Ok(None);
        }
        let contains = self.maybe("contains", given.contains.as_deref())?;
        let wanted = SizeRules {
            min: given.min_contains.unwrap_or(1),
            max: given.max_contains.unwrap_or(usize::MAX),
        };
        Ok(Some(ArrayPlan {
            prefix: self.all("prefixItems", &given.prefix)?,
            items: self.maybe("items", given.items.as_deref())?,
            contains: contains.map(|node| (node, wanted)),
            size: SizeRules { min: given.min.unwrap_or(0), max: given.max.unwrap_or(usize::MAX) },
            unique: given.unique,
        }))
    }

    fn object(&mut self, given: &'d ObjectAssertions) -> Result<Option<ObjectPlan>, SchemaError> {
        if *given == ObjectAssertions::default() {
            return Ok(None);
        }
        let boxed = |names: &[String]| names.iter().map(|name| name.as_str().into()).collect();
        let mut patterns = Vec::with_capacity(given.patterns.len());
        for (source, ty) in &given.patterns {
            let step = format!("patternProperties.{source}");
            patterns.push(self.at(step, |this| {
                let pattern = Pattern::compile(source, this.engine, &this.place())?;
                Ok((pattern, this.compile_type(ty, true)?))
            })?);
        }
        Ok(Some(ObjectPlan {
            properties: self.named("properties", &given.properties)?.into_iter().collect(),
            patterns,
            additional: self.maybe("additionalProperties", given.additional.as_deref())?,
            names: self.maybe("propertyNames", given.names.as_deref())?,
            required: boxed(&given.required),
            dependent_required: given
                .dependent_required
                .iter()
                .map(|(name, needed)| (name.as_str().into(), boxed(needed)))
                .collect(),
            dependent: self.named("dependentSchemas", &given.dependent)?,
            size: SizeRules { min: given.min.unwrap_or(0), max: given.max.unwrap_or(usize::MAX) },
        }))
    }

    /// Finds the tags of a union's members, which become the steps that issues show.
    fn tag(
        &mut self,
        name: &str,
        union: &'d Union,
        members: &mut [Member],
    ) -> Result<TagPlan, SchemaError> {
        let mut plan = TagPlan {
            record: RecordPlan {
                id: usize::MAX,
                name: name.to_owned(),
                host: None,
                fields: Arc::default(),
                extra: Extra::Ignore,
                from_attributes: false,
                as_map: true,
                form: Form::default(),
                keys: FxHashMap::default(),
            },
            texts: FxHashMap::default(),
            ints: FxHashMap::default(),
            enums: Vec::new(),
            expected: String::new(),
        };
        let mut shown = Vec::new();
        for (index, member) in union.members.iter().enumerate() {
            let first = shown.len();
            self.tag_member(name, index, member, &mut plan, &mut shown)?;
            if let Some((label, _)) = shown.get(first) {
                members[index].label = Loc::Name(label.as_str().into());
            }
        }
        let shown: Vec<String> = shown.into_iter().map(|(_, shown)| shown).collect();
        plan.expected = shown.join(", ");
        Ok(plan)
    }

    /// Adds the tags of member `index`, which may be a union of records itself; of each, its text and how it is shown.
    fn tag_member(
        &mut self,
        name: &str,
        index: usize,
        member: &'d Type,
        plan: &mut TagPlan,
        shown: &mut Vec<(String, String)>,
    ) -> Result<(), SchemaError> {
        let place = self.place();
        let wrong = |reason: String| SchemaError::Type { place: place.clone(), reason };
        let record = match self.resolve(member).map(|member| &member.kind) {
            Some(Kind::Record(record)) => record,
            Some(Kind::Union(inner)) => {
                return inner
                    .members
                    .iter()
                    .try_for_each(|member| self.tag_member(name, index, member, plan, shown));
            }
            _ => return Err(wrong(format!("member {index} of a tagged union is no record"))),
        };
        let Some(field) = record.fields.iter().find(|field| field.name == name) else {
            return Err(wrong(format!(
                "record '{}' has no field '{name}' for its tag",
                record.name
            )));
        };
        let values: Vec<&Value> = match self.resolve(&field.ty).map(|ty| &ty.kind) {
            Some(Kind::Literal(values)) => values.iter().collect(),
            Some(Kind::Enum(declared)) => {
                plan.enums.push((self.compile_enum(declared)?, index));
                declared.members.iter().map(|member| &member.value).collect()
            }
            _ => {
                let record = &record.name;
                return Err(wrong(format!(
                    "tag '{name}' of record '{record}' is no literal or enum"
                )));
            }
        };
        for value in values {
            let (known, text) = match value {
                Value::Str(text) => (plan.texts.insert(text.as_str().into(), index), text.clone()),
                Value::Int(int) => (plan.ints.insert(*int, index), int.to_string()),
                _ => return Err(wrong(format!("tag {} is no text or integer", repr(value)))),
            };
            if known.is_some_and(|known| known != index) {
                return Err(wrong(format!("tag {} stands for two members", repr(value))));
            }
            if known.is_none() {
                shown.push((text, repr(value)));
            }
        }
        plan.record.from_attributes |= record.config.from_attributes;
        plan.record.as_map &= record.config.as_map;
        let key = field.alias.as_ref().unwrap_or(&field.name);
        plan.record.keys.insert(key.as_str().into(), 0);
        if record.config.populate_by_name {
            plan.record.keys.insert(name.into(), 0);
        }
        if plan.record.fields.is_empty() {
            plan.record.fields = Arc::new([FieldPlan {
                name: name.to_owned(),
                key: key.clone(),
                by_name: true,
                node: self.program.any,
                default: FieldDefault::Absent,
                quoted: QuotedKey::new(key),
                loc: Loc::Name(key.as_str().into()),
            }]);
        }
        Ok(())
    }

    /// The type itself, or the one that it refers to in the end.
    fn resolve(&self, mut ty: &'d Type) -> Option<&'d Type> {
        for _ in 0..=self.definitions.len() {
            match &ty.kind {
                Kind::Ref(name) => ty = self.definitions.get(name.as_str())?,
                _ => return Some(ty),
            }
        }
        None
    }

    fn str_rules(&self, rules: &Rules) -> Result<StrRules, SchemaError> {
        let pattern = match &rules.pattern {
            Some(source) => Some(Pattern::compile(source, self.engine, &self.place())?),
            None => None,
        };
        Ok(StrRules::new(rules, pattern))
    }

    fn time_bounds(&self, rules: &Rules, example: &Value) -> Result<Box<TimeBounds>, SchemaError> {
        match TimeBounds::compile(rules, example) {
            Ok(bounds) => Ok(Box::new(bounds)),
            Err(rule) => Err(self.bad_rule(rule, "is of another kind than the type")),
        }
    }

    fn bad_rule(&self, rule: &'static str, reason: &str) -> SchemaError {
        SchemaError::Rule { place: self.place(), rule, reason: reason.to_owned() }
    }

    /// Refuses rules that the kind cannot have.
    fn check_rules(&self, kind: &Kind, rules: &Rules) -> Result<(), SchemaError> {
        match misplaced(kind, rules) {
            Some((rule, reason)) => Err(self.bad_rule(rule, reason)),
            None => Ok(()),
        }
    }

    fn compile_enum(&mut self, declared: &EnumType) -> Result<u32, SchemaError> {
        if declared.members.is_empty() {
            let reason = format!("enum '{}' has no members", declared.name);
            return Err(SchemaError::Type { place: self.place(), reason });
        }
        let id = self.program.enums.len();
        self.program.enums.push(EnumPlan {
            id,
            name: declared.name.clone(),
            host: declared.host,
            members: declared.members.clone(),
            of_ints: declared.of_ints,
            choices: Choices::new(declared.members.iter().map(|member| &member.value)),
        });
        Ok(id as u32)
    }

    fn compile_literal(&mut self, values: &[Value]) -> Result<u32, SchemaError> {
        if values.is_empty() {
            let reason = "literal has no values".to_owned();
            return Err(SchemaError::Type { place: self.place(), reason });
        }
        let id = self.program.literals.len();
        let choices = Choices::new(values);
        self.program.literals.push(LiteralPlan { id, values: values.to_vec(), choices });
        Ok(id as u32)
    }

    fn compile_record(&mut self, record: &'d Record) -> Result<u32, SchemaError> {
        let Config { strict: own, extra, populate_by_name, from_attributes, as_map, form } =
            record.config;
        let id = self.program.records.len();
        self.program.records.push(RecordPlan {
            id,
            name: record.name.clone(),
            host: record.host,
            fields: Arc::default(),
            extra,
            from_attributes,
            as_map,
            form,
            keys: FxHashMap::default(),
        });
        let mut fields = Vec::new();
        let mut keys: FxHashMap<Box<str>, u32> = FxHashMap::default();
        let mut names = std::collections::HashSet::new();
        for (index, field) in record.fields.iter().enumerate() {
            let duplicate =
                |name: &str| SchemaError::Duplicate { place: self.place(), name: name.to_owned() };
            if !names.insert(field.name.as_str()) {
                return Err(duplicate(&field.name));
            }
            let key = field.alias.as_ref().unwrap_or(&field.name);
            let closed = key.starts_with('\0');
            if !closed && keys.insert(key.as_str().into(), index as u32).is_some() {
                return Err(duplicate(key));
            }
            if matches!(field.default, FieldDefault::Host(_)) {
                self.program.needs_host = true;
            }
            let node = self.at(&field.name, |this| this.compile_type(&field.ty, own))?;
            fields.push(FieldPlan {
                name: field.name.clone(),
                key: key.clone(),
                by_name: !closed && (field.alias.is_none() || populate_by_name),
                node,
                default: field.default.clone(),
                quoted: QuotedKey::new(key),
                loc: Loc::Name(key.as_str().into()),
            });
        }
        if populate_by_name {
            // An alias of one field counts for more than the name of another.
            for (index, field) in record.fields.iter().enumerate() {
                if fields[index].by_name {
                    keys.entry(field.name.as_str().into()).or_insert(index as u32);
                }
            }
        }
        let plan = &mut self.program.records[id];
        plan.fields = fields.into();
        plan.keys = keys;
        Ok(id as u32)
    }
}
