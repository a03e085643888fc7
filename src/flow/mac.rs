//! MACs of one's own.

use crate::flow::error::Error;
use crate::model::mac::Mac;

/// A locally administered address of one interface (IEEE 802).
pub fn random() -> Result<Mac, Error> {
    let mut bytes = [0; 6];
    let failed = |errno: rustix::io::Errno| Error::Random { source: errno.into() };
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(failed)?;
    let [first, ..] = &mut bytes;
    *first = (*first | 2) & 0xfe;
    Ok(Mac(bytes))
}

/// The one that was chosen before, else a random one, which is then the chosen one.
pub fn chosen(slot: &mut Option<Mac>) -> Result<Mac, Error> {
    let mac = match *slot {
        Some(mac) => mac,
        None => random()?,
    };
    Ok(*slot.insert(mac))
}
