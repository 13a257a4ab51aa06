//! The image that must be found bad: made here, byte by byte, so that no image has to be carried along. Pure.

/// What any database that knows Go has about golang.org/x/text v0.3.6.
pub(super) const GO_CVE: &str = "CVE-2021-38561";
const GO_MODULES: &str =
    "path\tmsctl.invalid/control\nmod\tmsctl.invalid/control\t(devel)\t\ndep\tgolang.org/x/text\tv0.3.6\th1:control\n";

/// A file of a layer.
pub(super) struct File {
    path: String,
    bytes: Vec<u8>,
    mode: u32,
}

fn file(path: &str, text: impl Into<Vec<u8>>) -> File {
    File {
        path: path.to_owned(),
        bytes: text.into(),
        mode: 0o644,
    }
}

/// Packages that every release of a distribution has, and that have had vulnerabilities in each.
const PACKAGES: [&str; 12] = [
    "openssl", "busybox", "zlib", "curl", "musl", "glibc", "bash", "expat", "sqlite", "libxml2", "ncurses", "systemd",
];

/// The files by which trivy knows this release of a distribution, with very old packages; none where none can be made.
pub(super) fn distribution(family: &str, release: &str) -> Option<Vec<File>> {
    let os = format!("ID={family}\nVERSION_ID=\"{release}\"\nNAME=\"{family}\"\n");
    let release_line = format!("{release}\n");
    let mut files = vec![file("etc/os-release", os)];
    match family {
        "alpine" | "wolfi" | "chainguard" => {
            if family == "alpine" {
                files.push(file("etc/alpine-release", release_line));
            }
            files.push(file(
                "lib/apk/db/installed",
                each(|p| format!("P:{p}\nV:0.0.1-r0\nA:x86_64\no:{p}\n\n")),
            ));
        }
        "debian" | "ubuntu" => {
            if family == "debian" {
                files.push(file("etc/debian_version", release_line));
            } else {
                let lsb = format!("DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE={release}\n");
                files.push(file("etc/lsb-release", lsb));
            }
            let entry = |p: &str| {
                format!(
                    "Package: {p}\nStatus: install ok installed\nMaintainer: none\nArchitecture: amd64\nVersion: 0.0.1-1\nDescription: control\n\n"
                )
            };
            files.push(file("var/lib/dpkg/status", each(entry)));
        }
        _ => return None,
    }
    Some(files)
}

fn each(entry: impl Fn(&str) -> String) -> String {
    PACKAGES.iter().map(|package| entry(package)).collect()
}

/// A docker-save archive of one layer: these files and a Go program.
pub(super) fn image(mut files: Vec<File>) -> Vec<u8> {
    files.push(File {
        path: "control".into(),
        bytes: go_program(),
        mode: 0o755,
    });
    let layer = archive(&files);
    let digest = blake3::hash(&layer).to_hex(); // as long as a SHA-256; nobody compares it with the layer
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","created":"2026-01-01T00:00:00Z","config":{{}},"rootfs":{{"type":"layers","diff_ids":["sha256:{digest}"]}},"history":[{{"created":"2026-01-01T00:00:00Z","created_by":"control"}}]}}"#
    );
    let manifest = r#"[{"Config":"config.json","RepoTags":["msctl-control:1"],"Layers":["layer.tar"]}]"#;
    archive(&[
        file("config.json", config),
        file("layer.tar", layer),
        file("manifest.json", manifest),
    ])
}

/// A ustar archive. Paths are shorter than 100 bytes.
fn archive(files: &[File]) -> Vec<u8> {
    let mut out = Vec::new();
    for file in files {
        let mut head = [0_u8; 512];
        let mut put = |at: usize, text: &str| head[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, &file.path);
        put(100, &format!("{:07o}", file.mode));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{:011o}", file.bytes.len()));
        put(136, "00000000000");
        put(148, "        ");
        put(156, "0");
        put(257, "ustar");
        put(263, "00");
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
        head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(&file.bytes);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// An ELF file with one writable segment that holds what Go's `debug/buildinfo` looks for. It cannot be run.
fn go_program() -> Vec<u8> {
    let mut info = b"\xff Go buildinf:\x08\x02".to_vec(); // pointer size 8, strings inline
    info.resize(32, 0);
    put_string(&mut info, b"go1.20.1");
    let frame = [0_u8; 16]; // Go cuts off 16 bytes on either side and wants a newline before the last ones
    put_string(&mut info, &[&frame[..], GO_MODULES.as_bytes(), &frame[..]].concat());
    info.resize(info.len().next_multiple_of(16), 0);
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    let (offset, address): (u64, u64) = (128, 0x0040_0080);
    for half in [2_u16, 0x3e] {
        elf.extend(half.to_le_bytes()); // an executable for x86-64
    }
    elf.extend(1_u32.to_le_bytes());
    for word in [address, 64, 0] {
        elf.extend(word.to_le_bytes()); // entry, program headers, section headers
    }
    elf.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 64, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend(1_u32.to_le_bytes()); // PT_LOAD
    elf.extend(6_u32.to_le_bytes()); // read and write
    for word in [offset, address, address, info.len() as u64, info.len() as u64, 16] {
        elf.extend(word.to_le_bytes());
    }
    elf.resize(128, 0);
    elf.extend(info);
    elf
}

/// A string behind its length as a varint.
fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    let mut length = text.len();
    while length >= 0x80 {
        out.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    out.push(length.to_le_bytes()[0]);
    out.extend_from_slice(text);
}
