//! Why a Service does not get an address.

use crate::objects::{source::ObjectRef, translate::Complaint};

/// The kind of a refusal: the reason of the condition and of the Event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reason {
    /// What is asked for is no address that clients could send to, or contradicts itself.
    AddressInvalid,
    /// The Service has no such addresses.
    FamilyMismatch,
    /// It is the address of a Node.
    AddressOfNode,
    /// Another Service has it, or asked for it first.
    AddressInUse,
}

impl Reason {
    pub const fn name(self) -> &'static str {
        match self {
            Self::AddressInvalid => "AddressInvalid",
            Self::FamilyMismatch => "FamilyMismatch",
            Self::AddressOfNode => "AddressOfNode",
            Self::AddressInUse => "AddressInUse",
        }
    }
}

/// What is refused, and what helps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub reason: Reason,
    /// A sentence for people.
    pub message: String,
    /// Who has the address.
    pub holder: Option<ObjectRef>,
}

impl Refusal {
    /// `field`: where it is asked for.
    pub fn new(reason: Reason, field: &str, complaint: Complaint) -> Self {
        let Complaint { message, remedy, .. } = complaint;
        Self { reason, message: format!("{field}: {message}: {remedy}"), holder: None }
    }

    pub fn held_by(self, holder: &ObjectRef) -> Self {
        Self { holder: Some(holder.clone()), ..self }
    }
}
