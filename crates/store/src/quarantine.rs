//! Damaged parts: set aside, counted and reported; everything else is served.

use std::{path::Path, sync::Arc};

use part::{Part, PartError};

use crate::{counters::add, error::StoreError, inner::Inner, layout};

impl Inner {
    /// Sets a part aside if the error says that it is damaged. Gives the error on.
    pub fn suspect(&self, part: &Arc<Part>, error: PartError) -> StoreError {
        if let PartError::Corrupt(corrupt) = &error {
            self.set_aside(part.meta().id, &corrupt.to_string());
        }
        error.into()
    }

    /// Reads parts through and sets the damaged ones aside.
    pub fn find_damaged(&self, parts: &[&Arc<Part>]) {
        for part in parts {
            if let Err(PartError::Corrupt(corrupt)) = part.verify() {
                self.set_aside(part.meta().id, &corrupt.to_string());
            }
        }
    }

    /// Takes a part out of service. Its files are moved, not removed: what is whole in them can still be rescued.
    pub fn set_aside(&self, id: u64, why: &str) {
        let mut published = self.published.lock();
        if !published.parts.iter().any(|meta| meta.id == id) {
            return;
        }
        published.parts.retain(|meta| meta.id != id);
        self.shared.change(|state| state.parts.retain(|part| part.meta().id != id));
        add(&self.counters.quarantined_parts, 1);
        self.report.error(format!("part {} is damaged and set aside: {why}", layout::part_name(id)));
        let moved = move_part(&*self.disk, id).map_err(StoreError::from).and_then(|()| self.publish(&mut published));
        if let Err(error) = moved {
            self.report.error(format!("cannot move damaged part {}: {error}", layout::part_name(id)));
        }
    }
}

/// Moves the folder of a part into quarantine.
pub fn move_part(disk: &dyn disk::Disk, id: u64) -> Result<(), disk::Error> {
    let aside = Path::new(layout::QUARANTINE);
    let to = aside.join(layout::part_name(id));
    if disk.exists(&to)? {
        disk.remove_dir_all(&to)?;
    }
    disk.rename(&layout::part(id), &to)?;
    disk.sync_dir(aside)?;
    disk.sync_dir(Path::new(layout::PARTS))
}
