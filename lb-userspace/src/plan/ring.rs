//! A ring, as a plan has it.

use std::iter;

/// Which member each slot belongs to, as an index of the service's members. There are many rings, and
/// nearly all of them have few members, or one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ring(Slots);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Slots {
    /// All slots belong to the same member.
    Sole {
        member: u16,
        len: usize,
    },
    /// If all members fit.
    Narrow(Box<[u8]>),
    Wide(Box<[u16]>),
}

impl Ring {
    /// A ring in which all slots belong to one member.
    pub fn sole(member: u16, len: usize) -> Self {
        if len == 0 { Self::default() } else { Self(Slots::Sole { member, len }) }
    }

    pub fn len(&self) -> usize {
        match &self.0 {
            Slots::Sole { len, .. } => *len,
            Slots::Narrow(slots) => slots.len(),
            Slots::Wide(slots) => slots.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = u16> {
        let (sole, narrow, wide): (_, &[u8], &[u16]) = match &self.0 {
            Slots::Sole { member, len } => (iter::repeat_n(*member, *len), &[], &[]),
            Slots::Narrow(slots) => (iter::repeat_n(0, 0), slots, &[]),
            Slots::Wide(slots) => (iter::repeat_n(0, 0), &[], slots),
        };
        sole.chain(narrow.iter().map(|member| u16::from(*member))).chain(wide.iter().copied())
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self(Slots::Narrow(Box::default()))
    }
}

impl From<Vec<u16>> for Ring {
    fn from(slots: Vec<u16>) -> Self {
        if let Some(first) = slots.first().filter(|first| slots.iter().all(|member| member == *first)) {
            return Self::sole(*first, slots.len());
        }
        let is_narrow = slots.iter().all(|member| *member <= u16::from(u8::MAX));
        Self(match is_narrow {
            true => Slots::Narrow(slots.iter().map(|member| *member as u8).collect()),
            false => Slots::Wide(slots.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_member_is_lost() {
        for slots in [vec![], vec![0, 255, 1], vec![0, 256, 1], vec![u16::MAX], vec![7, 7]] {
            let ring = Ring::from(slots.clone());
            assert_eq!((ring.len(), ring.is_empty()), (slots.len(), slots.is_empty()));
            assert_eq!(ring.iter().collect::<Vec<_>>(), slots);
        }
        assert_eq!(Ring::from(vec![]), Ring::default());
        assert_eq!((Ring::from(vec![7, 7]), Ring::sole(7, 0)), (Ring::sole(7, 2), Ring::default()));
    }
}
