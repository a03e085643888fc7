//! DEL: undoes whatever there is of the attachment. What is gone already is no error.

use super::{Session, refuse};
use crate::cni::error::{Code, Refusal};
use crate::flow::engine::Deleted;

impl Session {
    /// An error makes a runtime call again, which kubelet then does for as long as the pod exists: only what another
    /// call can mend is one.
    pub(super) fn del(&mut self) -> Result<(), Refusal> {
        let wish = self.wish()?;
        let deleted = self.engine.delete(wish, &mut self.log).map_err(|error| refuse::flow(&error))?;
        let Deleted { error: Some(error), .. } = deleted else { return Ok(()) };
        let refusal = refuse::flow(&error);
        let code = if refusal.code == Code::INTERNAL { Code::TRY_AGAIN } else { refusal.code };
        Err(Refusal { code, ..refusal })
    }
}
