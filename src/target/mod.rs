//! What the user named. Parsing it and picking it out of the model are pure, so that every ambiguity can be tested.

mod elsewhere;
mod endpoint;
mod offer;
mod reading;
mod resolve;

pub use elsewhere::{Elsewhere, elsewhere};
pub use endpoint::{candidate_of_endpoint, endpoints};
pub use offer::{Offer, depth_of, offers};
pub use reading::{Reading, Target, Unusable};
pub use resolve::{Candidate, Pick, Unresolved, candidate_of, inhabitant, resolve};
