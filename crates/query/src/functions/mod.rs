//! Functions over rows on a grid: operators, transforms, aggregates, labels.
