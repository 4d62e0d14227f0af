//! Which line of a file a field came from.

use crate::hash::fnv1a;

/// The lines of an object's fields: the object itself, and behind each field what it contains. There
/// are many objects, and seldom is a line asked for, so that it is small and found by searching.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FieldLines(Box<[FieldLine]>);

#[derive(Clone, Copy, PartialEq, Debug)]
struct FieldLine {
    step: Step,
    /// How many fields it is within, in the lowest byte, and its line.
    depth_and_line: u32,
}

/// The largest line number that is told from larger ones.
const LAST_LINE: u32 = u32::MAX >> 8;

/// A step into a value: the hash of a field's name, or of an item's number.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Step(u32);

impl Step {
    pub fn new(name: &str) -> Self {
        Self(fnv1a(name) as u32)
    }
}

impl FieldLine {
    fn new(step: Step, depth: u8, line: u32) -> Self {
        let depth_and_line = line.min(LAST_LINE) << 8 | u32::from(depth);
        Self { step, depth_and_line }
    }

    fn depth(self) -> u8 {
        self.depth_and_line as u8
    }

    fn line(self) -> u32 {
        self.depth_and_line >> 8
    }
}

impl FieldLines {
    /// The line of a field, such as `spec.ports[0].port`. What is missing in
    /// the file is looked for where it would have to be added: in its parent.
    pub fn line_of(&self, path: &str) -> u32 {
        let Some((mut here, mut below)) = self.0.split_first() else { return 0 };
        for step in split_path(path) {
            let step = Step::new(step);
            let inside = below.iter().take_while(|field| field.depth() > here.depth()).count();
            let is_next = |field: &FieldLine| field.step == step && field.depth() == here.depth() + 1;
            let Some(next) = below[..inside].iter().position(is_next) else { break };
            (here, below) = (&below[next], &below[next + 1..inside]);
        }
        here.line()
    }
}

/// The lines of a value while it is read: its own and, below it, those of what it contains.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Lines {
    pub line: u32,
    pub below: ChildLines,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub enum ChildLines {
    #[default]
    Nothing,
    Items(Vec<Lines>),
    /// A list, since nearly all objects have few fields.
    Fields(Vec<(Step, Lines)>),
}

impl Lines {
    /// One field, taken out.
    pub fn into_child(self, name: &str) -> Option<Self> {
        let ChildLines::Fields(fields) = self.below else { return None };
        let wanted = Step::new(name);
        fields.into_iter().find(|(step, _)| *step == wanted).map(|(_, lines)| lines)
    }

    /// Of the depth of a file's values, see `file/yaml.rs`, 255 levels are kept.
    pub fn flatten(&self) -> FieldLines {
        let mut fields = Vec::new();
        self.flatten_into(Step::new(""), 0, &mut fields);
        FieldLines(fields.into())
    }

    fn flatten_into(&self, step: Step, depth: u8, fields: &mut Vec<FieldLine>) {
        fields.push(FieldLine::new(step, depth, self.line));
        let Some(depth) = depth.checked_add(1) else { return };
        match &self.below {
            ChildLines::Nothing => {}
            ChildLines::Items(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.flatten_into(Step::new(&index.to_string()), depth, fields);
                }
            }
            ChildLines::Fields(named) => {
                named.iter().for_each(|(step, lines)| lines.flatten_into(*step, depth, fields))
            }
        }
    }
}

/// Splits at dots and brackets; a key in brackets may contain dots, as in
/// `metadata.annotations[trigon.dev/dsr]`.
fn split_path(mut path: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        path = path.strip_prefix('.').unwrap_or(path);
        if path.is_empty() {
            return None;
        }
        let (step, rest) = match path.strip_prefix('[') {
            Some(inside) => inside.split_once(']').unwrap_or((inside, "")),
            None => path.split_at(path.find(['.', '[']).unwrap_or(path.len())),
        };
        path = rest;
        Some(step)
    })
}
