//! A ring, as a plan has it.

/// Which member each slot belongs to, as an index of the service's members. There are many rings, and
/// nearly all of them have few members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ring(Slots);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Slots {
    /// If all members fit.
    Narrow(Box<[u8]>),
    Wide(Box<[u16]>),
}

impl Ring {
    pub fn len(&self) -> usize {
        match &self.0 {
            Slots::Narrow(slots) => slots.len(),
            Slots::Wide(slots) => slots.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = u16> {
        let (narrow, wide): (&[u8], &[u16]) = match &self.0 {
            Slots::Narrow(slots) => (slots, &[]),
            Slots::Wide(slots) => (&[], slots),
        };
        narrow.iter().map(|member| u16::from(*member)).chain(wide.iter().copied())
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self(Slots::Narrow(Box::default()))
    }
}

impl From<Vec<u16>> for Ring {
    fn from(slots: Vec<u16>) -> Self {
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
        for slots in [vec![], vec![0, 255, 1], vec![0, 256, 1], vec![u16::MAX]] {
            let ring = Ring::from(slots.clone());
            assert_eq!((ring.len(), ring.is_empty()), (slots.len(), slots.is_empty()));
            assert_eq!(ring.iter().collect::<Vec<_>>(), slots);
        }
        assert_eq!(Ring::from(vec![]), Ring::default());
    }
}
