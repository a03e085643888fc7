//! What the user named. Parsing it and picking it out of the model are pure, so that every ambiguity can be tested.

mod candidate;
mod elsewhere;
mod endpoint;
mod find;
mod offer;
mod reading;
mod resolve;

pub use candidate::{Candidate, candidate_of};
pub use elsewhere::{Elsewhere, elsewhere};
pub use endpoint::{candidate_of_endpoint, endpoints};
pub use find::{inhabitant, is_enough_of_id};
pub use offer::{Offer, depth_of, offers};
pub use reading::{Reading, Target, Unusable};
pub use resolve::{Pick, Unresolved, resolve, resolve_to_change};
