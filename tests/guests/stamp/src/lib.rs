//! Sets an attribute to its version. A test makes other versions of the component by changing the
//! bytes of [`VERSION`] in it.

use std::hint::black_box;

use serde::Deserialize;
use weir_plugin::{Event, Failure, Interest, Outcome, Pair, Transform};

/// Found and replaced in the component, so it stands there once and as it is.
static VERSION: [u8; 14] = *b"STAMP-00000000";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stamp {
    /// The attribute to set.
    attribute: String,
}

impl Transform for Stamp {
    fn transform(&self, mut event: Event) -> Result<Outcome, Failure> {
        let version = String::from_utf8_lossy(black_box(&VERSION)).into_owned();
        event.attributes.push(Pair {
            name: self.attribute.clone(),
            value: version,
        });
        Ok(event.into())
    }

    fn interest(&self) -> Interest {
        Interest::ATTRIBUTES
    }
}

weir_plugin::transform!(Stamp);
