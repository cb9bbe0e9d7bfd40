//! The indexes against naive models and damaged bytes.

mod damage;
mod fuzz;
mod head;
mod kubernetes;
mod oracle;
mod part;
