//! Records: fields by key, in any order.

use std::collections::HashMap;

use ottava_core::schema::{Extra, FieldDefault, Form};
use smallvec::smallvec;

use crate::check::{Fit, Run};
use crate::input::{Collection, Entry, Input};
use crate::issue::{Code, Ctx, Issues, Loc, Param};
use crate::output::{Checked, Given, Output, Stop};
use crate::program::{FieldPlan, RecordPlan};

/// A key that is no field: its text, or else its step.
type Key = (Option<String>, Option<Loc>);

impl<I: Input, O: Output> Run<'_, I, O> {
    pub(crate) fn check_record(
        &mut self,
        plan: &RecordPlan,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        if O::TAKES_HOST
            && self.input.is_instance(value, plan)?
            && let Some(host) = self.input.host(value)
        {
            return self.output.host(at, host);
        }
        if plan.form == Form::NamedTuple
            && let Some(items) = self.input.seq(value, Collection::Tuple, false)?
        {
            return self.deeper(value, |run| run.read_positions(plan, at, value, items));
        }
        let only_dicts = plan.form == Form::Dataclass;
        if only_dicts && strict && !self.of_json {
            return self.not_a_record(plan, value, Code::DataclassExactType);
        }
        let strict = only_dicts || (strict && plan.form != Form::NamedTuple);
        let Some(entries) = self.input.map(value, Some(plan), strict)? else {
            let code = match plan {
                RecordPlan { form: Form::NamedTuple, .. } => Code::NamedTupleType,
                RecordPlan { form: Form::Dataclass, .. } => Code::DataclassType,
                RecordPlan { as_map: true, .. } => Code::DictType,
                RecordPlan { from_attributes: true, .. } if !I::IS_JSON => {
                    Code::ModelAttributesType
                }
                _ => Code::ModelType,
            };
            return self.not_a_record(plan, value, code);
        };
        if !plan.as_map {
            self.fits(Fit::Strict);
        }
        self.deeper(value, |run| match run.output.in_order() {
            true => run.read_gathered(plan, at, value, entries),
            false => run.read_record(plan, at, value, entries),
        })
    }

    #[cold]
    fn not_a_record<T>(&mut self, plan: &RecordPlan, value: &I::Value, code: Code) -> Checked<T> {
        let ctx = match code {
            Code::DictType | Code::ModelAttributesType => Ctx::new(),
            _ => smallvec![("class_name", Param::Str(plan.name.as_str().into()))],
        };
        self.fail(value, code, ctx)
    }

    /// Reads a record whose fields are given in their order, as a sequence.
    #[cold]
    fn read_positions(
        &mut self,
        plan: &RecordPlan,
        at: O::Place,
        value: &I::Value,
        mut items: I::Seq,
    ) -> Checked<O::Value> {
        let mut record = self.output.record(at, plan)?;
        let mut given = Given::new(plan.fields.len());
        let start = self.issues.len();
        let (mut index, mut first_wrong) = (0, usize::MAX);
        while let Some(item) = self.input.next_item(&mut items)? {
            if index == plan.fields.len() {
                self.input.skip(&item)?;
                let actual = self.count_rest(&mut items, index + 1)?;
                return self.too_long("NamedTuple", index, start, actual, value);
            }
            given.insert(index);
            let mark = self.issues.len();
            if !self.read_field(plan, at, &mut record, index, item)? {
                first_wrong = first_wrong.min(index);
                self.issues.rename(mark, &Loc::Index(index));
            }
            index += 1;
        }
        let mark = self.issues.len();
        let complete = self.read_missing(plan, at, value, &mut record, &given, first_wrong)?;
        if !complete {
            self.issues.number_fields(mark, plan);
        }
        if !complete || first_wrong < usize::MAX {
            return Err(Stop::Invalid);
        }
        self.end_record(plan, at, record, &given)
    }

    #[inline]
    fn read_record(
        &mut self,
        plan: &RecordPlan,
        at: O::Place,
        value: &I::Value,
        mut entries: I::Map,
    ) -> Checked<O::Value> {
        let mut record = self.output.record(at, plan)?;
        let mut given = Given::new(plan.fields.len());
        let start = self.issues.len();
        let before = (self.fit, self.fields);
        let mut expected = 0;
        let (mut failed, mut in_order) = (false, true);
        let mut first_wrong = usize::MAX;
        let repeated = loop {
            match self.input.next_field(&mut entries, plan, expected)? {
                Entry::Field(index, item) => {
                    in_order &= index >= expected;
                    if !given.insert(index) {
                        break true;
                    }
                    expected = index + 1;
                    let mark = self.issues.len();
                    match self.read_field(plan, at, &mut record, index, item.clone()) {
                        Ok(true) => {}
                        Ok(false) => {
                            failed = true;
                            first_wrong = first_wrong.min(index);
                            let field = &plan.fields[index];
                            if field.by_name && field.name != field.key {
                                self.name_as_given(field, mark, &entries);
                            }
                        }
                        Err(stop) => {
                            self.find_repeated(stop, plan, &mut entries, &mut given, &item)?;
                            break true;
                        }
                    }
                }
                Entry::Unknown(item) => {
                    in_order = false;
                    let (mut key, mut step) = (None, None);
                    if plan.extra != Extra::Ignore || plan.form != Form::Model {
                        key = self.input.key_text(&entries);
                        if key.is_none() {
                            step = self.input.field_step(&entries);
                        }
                    }
                    match self.read_unknown(plan, at, &mut record, (key, step), item.clone()) {
                        Ok(right) => failed |= !right,
                        Err(stop) => {
                            self.find_repeated(stop, plan, &mut entries, &mut given, &item)?;
                            break true;
                        }
                    }
                }
                Entry::End => break false,
            }
        };
        if repeated {
            self.issues.truncate(start);
            self.output.forget_record(at, record);
            (self.fit, self.fields) = before;
            let Some(entries) = self.input.map(value, Some(plan), false)? else {
                return self.fail(value, Code::DictType, Ctx::new());
            };
            return self.read_gathered(plan, at, value, entries);
        }
        if !given.is_full(plan.fields.len()) {
            in_order = false;
            failed |= !self.read_missing(plan, at, value, &mut record, &given, first_wrong)?;
        }
        if failed {
            if !in_order {
                self.issues.sort_by_field(start, plan);
            }
            return Err(Stop::Invalid);
        }
        self.end_record(plan, at, record, &given)
    }

    #[inline]
    fn end_record(
        &mut self,
        plan: &RecordPlan,
        at: O::Place,
        record: O::Record,
        given: &Given,
    ) -> Checked<O::Value> {
        if self.in_union {
            self.fields = Some(self.fields.unwrap_or(0) + given.count());
        }
        self.output.end_record(at, plan, record, given)
    }

    /// A field with an alias that was found under its name is called by its name in the issues from `mark` on.
    #[cold]
    fn name_as_given(&mut self, field: &FieldPlan, mark: usize, entries: &I::Map) {
        if self.input.key_text(entries).is_some_and(|key| key == field.name) {
            self.issues.rename(mark, &Loc::Name(field.name.as_str().into()));
        }
    }

    /// After the issue that ends the run: looks through the rest of the record for a field that is given twice, because then what was
    /// found wrong may be what does not count. Without one, `stop` stands.
    #[cold]
    fn find_repeated(
        &mut self,
        stop: Stop,
        plan: &RecordPlan,
        entries: &mut I::Map,
        given: &mut Given,
        wrong: &I::Value,
    ) -> Checked<()> {
        if stop == Stop::Abort {
            return Err(stop);
        }
        self.input.skip(wrong)?;
        let mut repeated = false;
        loop {
            let item = match self.input.next_field(entries, plan, 0)? {
                Entry::Field(index, item) => {
                    repeated |= !given.insert(index);
                    item
                }
                Entry::Unknown(item) => item,
                Entry::End => return if repeated { Ok(()) } else { Err(stop) },
            };
            self.input.skip(&item)?;
        }
    }

    /// Looks through a record first, and then reads its fields in the order of the declaration. Of a key that occurs twice, the last one
    /// wins.
    #[cold]
    fn read_gathered(
        &mut self,
        plan: &RecordPlan,
        at: O::Place,
        value: &I::Value,
        mut entries: I::Map,
    ) -> Checked<O::Value> {
        let mut fields: Vec<Option<(I::Value, bool)>> = vec![None; plan.fields.len()];
        let mut unknown: Vec<(Key, I::Value)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        loop {
            let (field, item) = match self.input.next_field(&mut entries, plan, 0)? {
                Entry::Field(index, item) => (Some(index), item),
                Entry::Unknown(item) => (None, item),
                Entry::End => break,
            };
            let key = self.input.key_text(&entries);
            let step = if key.is_none() { self.input.field_step(&entries) } else { None };
            self.input.skip(&item)?;
            let (key, item) = match field {
                None => (key, item),
                Some(index) => {
                    // The alias counts for more than the name; what does not count is an extra field.
                    let field = &plan.fields[index];
                    let by_alias = key.as_deref() == Some(field.key.as_str());
                    match (&fields[index], by_alias) {
                        (Some((_, true)), false) => (key, item),
                        (Some((old, false)), true) => {
                            let old = old.clone();
                            fields[index] = Some((item, true));
                            (Some(field.name.clone()), old)
                        }
                        _ => {
                            fields[index] = Some((item, by_alias));
                            continue;
                        }
                    }
                }
            };
            if plan.extra == Extra::Ignore && plan.form == Form::Model {
                continue;
            }
            match key.as_ref().and_then(|key| places.get(key)) {
                Some(place) => unknown[*place].1 = item,
                None => {
                    places.extend(key.clone().map(|key| (key, unknown.len())));
                    unknown.push(((key, step), item));
                }
            }
        }
        let mut record = self.output.record(at, plan)?;
        let mut given = Given::new(plan.fields.len());
        let start = self.issues.len();
        let (mut failed, mut first_wrong) = (false, usize::MAX);
        for (index, item) in fields.into_iter().enumerate() {
            if let Some((item, by_alias)) = item {
                given.insert(index);
                let mark = self.issues.len();
                if !self.read_field(plan, at, &mut record, index, item)? {
                    failed = true;
                    first_wrong = first_wrong.min(index);
                    if !by_alias {
                        let name = plan.fields[index].name.as_str();
                        self.issues.rename(mark, &Loc::Name(name.into()));
                    }
                }
            } else {
                if !self.fill_in(plan, at, value, &mut record, index, first_wrong)? {
                    failed = true;
                    first_wrong = first_wrong.min(index);
                }
            }
        }
        for (key, item) in unknown {
            failed |= !self.read_unknown(plan, at, &mut record, key, item)?;
        }
        self.input.skip(value)?;
        if failed {
            self.issues.sort_by_field(start, plan);
            return Err(Stop::Invalid);
        }
        self.end_record(plan, at, record, &given)
    }

    /// Checks a field; whether it is right.
    #[inline]
    fn read_field(
        &mut self,
        plan: &RecordPlan,
        at: O::Place,
        record: &mut O::Record,
        index: usize,
        item: I::Value,
    ) -> Checked<bool> {
        let field = &plan.fields[index];
        let mark = self.issues.len();
        let place = self.output.field_place(at, record, index);
        match self.check(field.node, place, item.clone()) {
            Ok(done) => {
                self.output.field(record, index, done)?;
                Ok(true)
            }
            Err(stop) => {
                self.part_failed(stop, &item, |issues| issues.locate_field(mark, plan, index))?;
                Ok(false)
            }
        }
    }

    /// Checks values as fields of a record that is the root, in the order in which the record has them; `done` takes those that are right. For a
    /// host that has seen that the other fields are, and that the record has no more than its fields.
    ///
    /// # Errors
    /// As [`Run::check`].
    pub fn check_fields(
        &mut self,
        plan: &RecordPlan,
        fields: impl IntoIterator<Item = (usize, O::Place, I::Value)>,
        mut done: impl FnMut(usize, O::Value),
    ) -> Checked<()> {
        let start = self.issues.len();
        let (mut expected, mut failed, mut in_order) = (0, false, true);
        for (index, place, value) in fields {
            in_order &= index >= expected;
            expected = index;
            let mark = self.issues.len();
            self.depth += 1;
            let checked = self.check(plan.fields[index].node, place, value.clone());
            self.depth -= 1;
            match checked {
                Ok(value) => done(index, value),
                Err(stop) => {
                    failed = true;
                    let locate = |issues: &mut Issues| issues.locate_field(mark, plan, index);
                    self.part_failed(stop, &value, locate)?;
                }
            }
        }
        if !failed {
            return Ok(());
        }
        if !in_order {
            self.issues.sort_by_field(start, plan);
        }
        Err(Stop::Invalid)
    }

    /// Deals with a value under a key that is no field; whether it may be there.
    #[cold]
    fn read_unknown(
        &mut self,
        plan: &RecordPlan,
        at: O::Place,
        record: &mut O::Record,
        (key, step): Key,
        item: I::Value,
    ) -> Checked<bool> {
        let mark = self.issues.len();
        let failure: Checked<()> = match (plan.extra, &key) {
            (Extra::Ignore, None) if plan.form != Form::Model => {
                self.fail(&item, Code::InvalidKey, Ctx::new())
            }
            (Extra::Ignore, _) => {
                self.input.skip(&item)?;
                return Ok(true);
            }
            (Extra::Forbid, Some(_)) => self.fail(&item, Code::ExtraForbidden, Ctx::new()),
            (_, None) => self.fail(&item, Code::InvalidKey, Ctx::new()),
            (Extra::Allow, Some(key)) => {
                let place = self.output.extra_place(at, record);
                match self.check_any(place, &item) {
                    Ok(done) => {
                        self.output.extra(record, key, done)?;
                        return Ok(true);
                    }
                    Err(stop) => Err(stop),
                }
            }
        };
        match failure {
            Ok(()) => Ok(true),
            Err(stop) => {
                let step = step.unwrap_or_else(|| Loc::Name(key.unwrap_or_default().into()));
                self.part_failed(stop, &item, |issues| issues.locate(mark, &step))?;
                Ok(false)
            }
        }
    }

    /// Fills in fields that the input does not have; whether that is possible for all of them. `first_wrong` is the first field that was
    /// found wrong.
    #[cold]
    fn read_missing(
        &mut self,
        plan: &RecordPlan,
        at: O::Place,
        value: &I::Value,
        record: &mut O::Record,
        given: &Given,
        mut first_wrong: usize,
    ) -> Checked<bool> {
        let mut complete = true;
        for index in (0..plan.fields.len()).filter(|index| !given.contains(*index)) {
            if !self.fill_in(plan, at, value, record, index, first_wrong)? {
                complete = false;
                first_wrong = first_wrong.min(index);
            }
        }
        Ok(complete)
    }

    /// Fills in a field that the input does not have; whether that is possible. The first field that is wrong so far, if any is, may be
    /// one that a default is made of.
    fn fill_in(
        &mut self,
        plan: &RecordPlan,
        at: O::Place,
        value: &I::Value,
        record: &mut O::Record,
        index: usize,
        first_wrong: usize,
    ) -> Checked<bool> {
        let field = &plan.fields[index];
        let code = match &field.default {
            FieldDefault::Absent => return Ok(true),
            FieldDefault::Required => Code::Missing,
            default if first_wrong < index && self.output.needs_fields(default) => {
                Code::DefaultFactoryNotCalled
            }
            default => {
                let place = self.output.field_place(at, record, index);
                let done = self.output.default(place, plan, index, default);
                return match done.and_then(|done| self.output.field(record, index, done)) {
                    Err(Stop::Invalid) if !O::FIRST_ISSUE_ONLY => {
                        let mark = self.issues.len();
                        self.report_refusal(value);
                        self.issues.locate_field(mark, plan, index);
                        Ok(false)
                    }
                    done => done.map(|()| true),
                };
            }
        };
        let mark = self.issues.len();
        let failure: Checked<()> = self.fail(value, code, Ctx::new());
        if O::FIRST_ISSUE_ONLY {
            failure?;
        }
        self.issues.locate_field(mark, plan, index);
        Ok(false)
    }
}
