//! The indexes against naive models and damaged bytes.

mod damage;
mod kubernetes;
mod oracle;
mod part;
