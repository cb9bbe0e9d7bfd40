//! Parts against naive models, and against damage.

mod damage;
mod model;
mod round_trip;
