//! What the controller is to have in a Service's status, and how soon.

use super::{addresses::Wanted, object::Status, programmed::Verdict};

/// All of it.
#[derive(Debug)]
pub struct Target {
    pub addresses: Wanted,
    /// None: nothing is programmed of it.
    pub programmed: Option<Verdict>,
}

/// What a status lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    Nothing,
    /// Only how many machines there are by now, all of which have it.
    OtherNumbers,
    /// Only words.
    OtherWords,
    /// That machines have not told of a new Service yet; mostly they have in a moment.
    FirstWord,
    Now,
    /// Addresses go before words.
    Addresses,
}

impl Target {
    pub fn need(&self, status: &Status) -> Need {
        if !self.addresses.is_met(status) {
            return Need::Addresses;
        }
        let (Some(verdict), Some(told)) = (&self.programmed, &status.programmed) else {
            return match &self.programmed {
                None if !status.owned.programmed => Need::Nothing,
                Some(verdict) if verdict.is_pending() => Need::FirstWord,
                _ => Need::Now,
            };
        };
        if (told.status.as_str(), &told.reason) != (verdict.status, &verdict.reason) {
            Need::Now
        } else if told.message == verdict.message {
            Need::Nothing
        } else if verdict.is_well() {
            Need::OtherNumbers
        } else {
            Need::OtherWords
        }
    }

    /// For the log: what it says that the status does not.
    pub fn outcome(&self, status: &Status) -> String {
        let addresses = match &self.addresses {
            addresses if addresses.is_met(status) => None,
            Wanted::Nothing => Some("has no address of ours any more".to_owned()),
            Wanted::Addresses { verdict, .. } => Some(verdict.texts().2.to_owned()),
        };
        let programmed = match (&self.programmed, &status.programmed) {
            (Some(verdict), Some(told)) if told.message == verdict.message => None,
            (Some(Verdict { reason, message, .. }), _) => Some(format!("{reason}: {message}")),
            (None, told) => told.as_ref().map(|_| "is not in the data path any more".to_owned()),
        };
        addresses.into_iter().chain(programmed).collect::<Vec<_>>().join("; ")
    }
}
