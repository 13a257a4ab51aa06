//! How samples of a past get into a Prometheus: its remote-write protocol, version 0.1.0, a Protocol Buffers message
//! (`prometheus.WriteRequest`) in one block of Snappy. Nothing is compressed: a block may be literals alone.

/// A series: its labels, its name among them as `__name__`, and its samples: milliseconds since 1970, and the value.
pub(crate) type Written = (Vec<(String, String)>, Vec<(i64, f64)>);

/// What goes with a request.
pub(crate) const HEADERS: [(&str, &str); 3] = [
    ("Content-Encoding", "snappy"),
    ("Content-Type", "application/x-protobuf"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
];

/// The body of a request.
pub(crate) fn request(series: &[Written]) -> Vec<u8> {
    let mut message = Vec::new();
    for (labels, samples) in series {
        let mut labels = labels.clone();
        // Prometheus wants them in order.
        labels.sort();
        let mut one = Vec::new();
        for (name, value) in &labels {
            let mut label = Vec::new();
            field(&mut label, 1, name.as_bytes());
            field(&mut label, 2, value.as_bytes());
            field(&mut one, 1, &label);
        }
        for (at, value) in samples {
            // A double as field 1, a varint as field 2.
            let mut sample = vec![1 << 3 | 1];
            sample.extend(value.to_le_bytes());
            sample.push(2 << 3);
            varint(&mut sample, u64::try_from(*at).expect("a time after 1970"));
            field(&mut one, 2, &sample);
        }
        field(&mut message, 1, &one);
    }
    snappy(&message)
}

/// A field of bytes.
fn field(to: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    to.push(number << 3 | 2);
    varint(to, bytes.len() as u64);
    to.extend(bytes);
}

fn varint(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    to.push(number.to_le_bytes()[0]);
}

/// Literals of up to 64 KiB, each with its length less one in two bytes.
fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    varint(&mut block, bytes.len() as u64);
    for literal in bytes.chunks(1 << 16) {
        block.push(61 << 2);
        block.extend(&(literal.len() - 1).to_le_bytes()[..2]);
        block.extend(literal);
    }
    block
}
