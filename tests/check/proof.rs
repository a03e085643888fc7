//! What is owed for each rule: a node that is well, is broken in exactly that way, is seen to be so and nothing else, and
//! is well again when that is mended.

use crate::case::{assert_healthy, wrong};
use crate::node::Node;

/// That it was done, for a code. Nothing but [`Node::proves`] makes one.
#[must_use]
pub struct Proven(&'static str);

impl Node {
    /// Looks before, at what is broken, and at what is mended.
    pub fn proves(&self, code: &'static str, breaks: impl FnOnce(), mends: impl FnOnce()) -> Proven {
        self.proves_beside(code, &[], breaks, mends)
    }

    /// … where something else, which is no error, rightly stands beside it.
    pub fn proves_beside(
        &self,
        code: &'static str,
        beside: &[&str],
        breaks: impl FnOnce(),
        mends: impl FnOnce(),
    ) -> Proven {
        assert_healthy(self, "before");
        breaks();
        let report = self.report();
        mends();
        let wrong = wrong(code, beside, &report);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_healthy(self, "after");
        Proven(code)
    }

    /// By shell commands.
    pub fn proves_by(&self, code: &'static str, breaks: &str, mends: &str) -> Proven {
        let run = |script: &str| {
            self.run(script);
        };
        self.proves(code, || run(breaks), || run(mends))
    }
}

/// A test of each of these functions, which are called as the code that they prove, and the list of them. A name without a
/// function does not compile, nor does a function without a [`Proven`]; None is what a machine has that cannot try it.
macro_rules! proofs {
    ($($name:ident),* $(,)?) => {
        pub const PROVEN: &[&str] = &[$(stringify!($name)),*];

        mod proofs {
            $(#[test]
            fn $name() {
                crate::proof::assert_is_of(stringify!($name), super::$name());
            })*
        }
    };
}
pub(crate) use proofs;

pub fn assert_is_of(name: &str, proven: Option<Proven>) {
    if let Some(Proven(code)) = proven {
        assert_eq!(code, code_of(name), "{name} proves another rule");
    }
}

/// `pn_ns_005` is PN-NS-005.
pub fn code_of(name: &str) -> String {
    name.replace('_', "-").to_uppercase()
}
