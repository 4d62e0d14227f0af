//! Which line of a file a field came from.

/// The line of a value and, below it, those of what it contains.
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
    /// A list, since nearly all objects have few fields, and there are many objects.
    Fields(Vec<(Box<str>, Lines)>),
}

impl Lines {
    /// The line of a field, such as `spec.ports[0].port`. What is missing in
    /// the file is looked for where it would have to be added: in its parent.
    pub fn line_of(&self, path: &str) -> u32 {
        let mut here = self;
        for step in split_path(path) {
            let Some(next) = here.child(step) else { break };
            here = next;
        }
        here.line
    }

    /// What is known about one item or field.
    pub fn child(&self, step: &str) -> Option<&Self> {
        match &self.below {
            ChildLines::Nothing => None,
            ChildLines::Items(items) => items.get(step.parse::<usize>().ok()?),
            ChildLines::Fields(fields) => {
                fields.iter().find(|(name, _)| **name == *step).map(|(_, lines)| lines)
            }
        }
    }

    /// One field, taken out.
    pub fn into_child(self, step: &str) -> Option<Self> {
        let ChildLines::Fields(fields) = self.below else { return None };
        fields.into_iter().find(|(name, _)| **name == *step).map(|(_, lines)| lines)
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
