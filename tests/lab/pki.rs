//! Who is who in the lab: one certificate authority, a certificate for each server and user, kubeconfigs.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType, date_time_ymd,
};

/// The authority and its directory.
pub(crate) struct Pki {
    directory: PathBuf,
    authority: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Pki {
    /// Makes the authority, and the keys that sign service accounts.
    pub(crate) fn new(directory: PathBuf) -> Self {
        let mut params = params("lab-ca", "lab");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        let pki = Self {
            directory,
            authority: Issuer::new(params, key),
            certificate,
        };
        pki.write("ca.crt", &pki.certificate);
        let accounts = KeyPair::generate().expect("a key");
        pki.write("sa.key", &accounts.serialize_pem());
        pki.write("sa.pub", &accounts.public_key_pem());
        pki
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }

    /// One of its files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The authority's own certificate, PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.certificate
    }

    /// `NAME.crt` and `NAME.key` of a server at these addresses and names.
    pub(crate) fn server(&self, name: &str, addresses: &[&str], names: &[&str]) {
        self.sign(name, &server_params(name, addresses, names));
    }

    /// The same on another clock: its certificate is valid from and until so many days from today, which may be past.
    pub(crate) fn server_between(&self, name: &str, addresses: &[&str], (from, until): (i64, i64)) {
        let day = |days: i64| {
            let then = Timestamp::now() + SignedDuration::from_hours(24 * days);
            let part = |form: &str| then.strftime(form).to_string().parse::<u8>().expect("a number");
            let year = then.strftime("%Y").to_string().parse().expect("a year");
            date_time_ymd(year, part("%m"), part("%d"))
        };
        let mut params = server_params(name, addresses, &[]);
        (params.not_before, params.not_after) = (day(from), day(until));
        self.sign(name, &params);
    }

    /// `NAME.crt` and `NAME.key` of a user in a group, as Kubernetes reads them: common name and organization.
    pub(crate) fn user(&self, name: &str, user: &str, group: &str) {
        let mut params = params(user, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(name, &params);
    }

    fn sign(&self, name: &str, params: &CertificateParams) {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.authority).expect("a certificate");
        self.write(&format!("{name}.crt"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// `NAME.kubeconfig` of a user that was made before.
    pub(crate) fn kubeconfig(&self, name: &str, server: &str) -> PathBuf {
        let file = |ending: &str| self.path(&format!("{name}.{ending}")).display().to_string();
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority": self.path("ca.crt")}}],
            "users": [{"name": name, "user": {"client-certificate": file("crt"), "client-key": file("key")}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": name}}],
        });
        self.write(&format!("{name}.kubeconfig"), &config.to_string());
        self.path(&format!("{name}.kubeconfig"))
    }

    /// What a client needs that comes as this user.
    pub(crate) fn identity(&self, name: &str) -> (String, String) {
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        (
            read(&self.path(&format!("{name}.crt"))),
            read(&self.path(&format!("{name}.key"))),
        )
    }
}

fn server_params(name: &str, addresses: &[&str], names: &[&str]) -> CertificateParams {
    let mut params = params(name, "lab");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let addresses = addresses
        .iter()
        .map(|address| SanType::IpAddress(address.parse().expect("an address")));
    let names = names
        .iter()
        .map(|name| SanType::DnsName((*name).try_into().expect("a name")));
    params.subject_alt_names = addresses.chain(names).collect();
    params
}

fn params(user: &str, group: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::OrganizationName, group);
    params.distinguished_name.push(DnType::CommonName, user);
    params
}
