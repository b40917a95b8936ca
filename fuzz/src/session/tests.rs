//! Random lives of sessions, on stable.

use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(250) })]

    #[test]
    fn sessions_keep_their_promises(data in vec(any::<u8>(), 0..1500)) {
        super::session(&data);
    }
}
