//! How the kernel names namespaces: `net:[4026531840]` (namespaces(7)).

/// The number in `KIND:[NUMBER]`.
pub fn inode_in(text: &str, kind: &str) -> Option<u64> {
    text.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']')?.parse().ok()
}
