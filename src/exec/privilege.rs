//! Running the command with less than podnet has.

use std::io;

use caps::CapSet;
use nix::unistd::{Gid, Group, Uid, User, setgid, setgroups, setuid};

use super::Error;

/// Who the command runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub user: Uid,
    pub group: Gid,
}

#[derive(Debug, thiserror::Error)]
#[error("no user or group «{0}» on this host")]
pub struct NoSuchUser(String);

impl std::str::FromStr for Identity {
    type Err = NoSuchUser;

    /// `USER[:GROUP]`, by name or number; a user's own group unless another is named.
    fn from_str(text: &str) -> Result<Self, NoSuchUser> {
        let missing = |word: &str| NoSuchUser(word.to_owned());
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let named = User::from_name(user).ok().flatten();
        let uid = named.as_ref().map(|user| user.uid).or_else(|| user.parse().ok().map(Uid::from_raw));
        let uid = uid.ok_or_else(|| missing(user))?;
        let own = named.or_else(|| User::from_uid(uid).ok().flatten()).map(|user| user.gid);
        let gid = match group {
            Some(word) => {
                let named = Group::from_name(word).ok().flatten().map(|group| group.gid);
                named.or_else(|| word.parse().ok().map(Gid::from_raw)).ok_or_else(|| missing(word))?
            }
            None => own.unwrap_or_else(|| Gid::from_raw(uid.as_raw())),
        };
        Ok(Self { user: uid, group: gid })
    }
}

/// Becomes the identity, for good; the groups of podnet's own user are left behind.
pub fn take(identity: &Identity) -> Result<(), Error> {
    let all = || {
        setgroups(&[identity.group])?;
        setgid(identity.group)?;
        setuid(identity.user)
    };
    all().map_err(|errno: nix::Error| Error::Privilege { source: errno.into() })
}

/// Empties the bounding set too, or `execve` would give root everything back (capabilities(7)).
/// The effective ones go with the exec; until then `take` may still need them.
pub fn drop_capabilities() -> Result<(), Error> {
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Bounding] {
        caps::clear(None, set).map_err(|error| Error::Privilege { source: io::Error::other(error) })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_numbers() {
        let root = Identity { user: Uid::from_raw(0), group: Gid::from_raw(0) };
        assert_eq!("root".parse::<Identity>().unwrap(), root);
        assert_eq!("0:0".parse::<Identity>().unwrap(), root);
        assert_eq!("54321".parse::<Identity>().unwrap().group, Gid::from_raw(54321));
        for wrong in ["", ":", "nobody-here", "0:nobody-here", "-1"] {
            assert!(wrong.parse::<Identity>().is_err(), "{wrong}");
        }
    }
}
