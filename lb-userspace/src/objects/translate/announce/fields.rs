//! Fields of the spec of one object, and what is wrong with them.

use std::{collections::BTreeSet, ops::RangeInclusive};

use crate::objects::{model::Problem, source::ObjectRef, translate::values::Complaint};

pub struct Fields<'a> {
    pub this: &'a ObjectRef,
    problems: &'a mut Vec<Problem>,
    is_good: bool,
    is_whole: bool,
}

impl<'a> Fields<'a> {
    pub fn new(this: &'a ObjectRef, problems: &'a mut Vec<Problem>) -> Self {
        Self { this, problems, is_good: true, is_whole: true }
    }

    /// Nothing was wrong so far.
    pub fn is_good(&self) -> bool {
        self.is_good
    }

    /// Reports a problem with which the object cannot be used. `field` is below `spec`.
    pub fn report_wrong(&mut self, field: &str, message: impl Into<String>, remedy: impl Into<String>) {
        self.is_good = false;
        self.add_problem(field, message, remedy);
    }

    /// Do all objects that it refers to exist, as far as was checked?
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Reports a reference to a missing object; without it, the object can still be used.
    pub fn report_missing(&mut self, field: &str, message: impl Into<String>, remedy: impl Into<String>) {
        self.is_whole = false;
        self.add_problem(field, message, remedy);
    }

    fn add_problem(&mut self, field: &str, message: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(self.this.problem(format!("spec.{field}"), message, remedy));
    }

    /// The value; a complaint is reported, and makes it None.
    pub fn ok_or_report<T>(&mut self, field: &str, result: Result<T, Complaint>) -> Option<T> {
        result.map_err(|complaint| self.report_wrong(field, complaint.message, complaint.remedy)).ok()
    }

    /// A number within limits, if there is one. `what`: `a port`.
    pub fn checked_number<T: TryFrom<u32>>(
        &mut self,
        field: &str,
        number: Option<u32>,
        limits: RangeInclusive<u32>,
        what: &str,
    ) -> Option<T> {
        let number = number?;
        let within = Some(number).filter(|number| limits.contains(number)).and_then(|n| T::try_from(n).ok());
        if within.is_none() {
            let remedy = format!("write a number from {} to {}", limits.start(), limits.end());
            self.report_wrong(field, format!("{number} is not {what}"), remedy);
        }
        within
    }

    /// Reports a list that is longer than an API server takes.
    pub fn report_excess<T>(&mut self, field: &str, list: &[T], most: usize) {
        if list.len() > most {
            let remedy = format!("write at most {most}, and the others in another object");
            self.report_wrong(field, format!("has {} entries", list.len()), remedy);
        }
    }

    /// Reports names that are there twice: one of the two is most likely a mistake.
    pub fn report_duplicates(&mut self, field: &str, names: &[String]) {
        let mut seen = BTreeSet::new();
        for (index, name) in names.iter().enumerate() {
            if !seen.insert(name) {
                let message = format!("`{name}` is there twice");
                self.report_wrong(&format!("{field}[{index}]"), message, "remove or correct one of the two");
            }
        }
    }
}
