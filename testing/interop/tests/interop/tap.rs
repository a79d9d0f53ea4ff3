//! TAP interfaces of a namespace.

use interop::namespace::Namespace;
use link::Tap;

#[test]
fn an_interface_that_another_has_is_refused_in_words_and_free_once_that_is_gone() {
    let namespace = Namespace::new();
    let first = namespace.within(|| Tap::open("weft0", 1_500)).expect("a TAP interface");
    let refused = namespace.within(|| Tap::open("weft0", 1_500)).expect_err("the interface is taken");
    let text = refused.to_string();
    assert!(text.starts_with("making the TAP interface failed (weft0): Device or resource busy"), "{text}");
    assert!(text.contains("another process has it"), "{text}");
    drop(first);
    // However late the kernel lets the first one go.
    namespace.within(|| Tap::open("weft0", 1_500)).expect("the interface is free");
}
