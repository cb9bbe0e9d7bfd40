//! What senders told about metrics, as bytes of a hint; `docs/formats/hints.md`.

use model::Tenant;

use crate::outgoing::Told;

/// Appends entries of a tenant.
pub fn encode(tenant: Tenant, told: &[Told], out: &mut Vec<u8>) {
    for told in told {
        out.extend_from_slice(&tenant.account.to_le_bytes());
        out.extend_from_slice(&tenant.project.to_le_bytes());
        for text in [&told.metric, &told.kind, &told.help, &told.unit] {
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// All entries; `None` if the bytes are none.
pub fn decode(mut bytes: &[u8]) -> Option<Vec<(Tenant, Told)>> {
    let mut told = Vec::new();
    while !bytes.is_empty() {
        let tenant = Tenant::new(number(&mut bytes)?, number(&mut bytes)?);
        let mut next = || text(&mut bytes);
        told.push((tenant, Told { metric: next()?, kind: next()?, help: next()?, unit: next()? }));
    }
    Some(told)
}

fn number(bytes: &mut &[u8]) -> Option<u32> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*number))
}

fn text(bytes: &mut &[u8]) -> Option<String> {
    let len = number(bytes)? as usize;
    let (text, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_and_nothing_else_is_taken() {
        let told =
            |metric: &str| Told { metric: metric.into(), kind: "gauge".into(), help: "é".into(), unit: String::new() };
        let mut bytes = Vec::new();
        encode(Tenant::new(1, 2), &[told("a"), told("b")], &mut bytes);
        let both = vec![(Tenant::new(1, 2), told("a")), (Tenant::new(1, 2), told("b"))];
        assert_eq!(decode(&bytes), Some(both));
        assert!((1..bytes.len() - 1).all(|cut| cut == bytes.len() / 2 || decode(&bytes[..cut]).is_none()));
        assert_eq!(decode(&[0xff; 12]), None);
    }
}
