//! Who an API server is, and who may ask it: certificates, tokens and kubeconfigs.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

use crate::site::Site;

pub const PORT: u16 = 6443;
/// Of the authority that has signed all others.
pub const AUTHORITY: &str = "ca.crt";
/// Of the API server, which signs service accounts' tokens with the same key.
pub const CERTIFICATE: &str = "apiserver.crt";
pub const KEY: &str = "apiserver.key";
/// By which kubelets know the API server.
pub const CLIENT_CERTIFICATE: &str = "client.crt";
pub const CLIENT_KEY: &str = "client.key";
pub const TOKENS: &str = "tokens.csv";

/// Users' tokens are their names, without what Kubernetes puts before these.
pub const ADMIN: &str = "admin";
pub const KUBE_PROXY: &str = "kube-proxy";

/// Those who may do all.
const MASTERS: &str = "system:masters";
/// Names by which Pods know the API server, beside its own address.
const NAMES: [&str; 6] = [
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "localhost",
    "127.0.0.1",
    // The first address of Services.
    "10.96.0.1",
];

/// Certificates and the users' tokens, each in a file of the testbed.
pub fn write_identity(site: &Site, address: IpAddr, nodes: &[&str]) -> Result<()> {
    let (authority, issuer) = make_authority().context("making an authority")?;
    site.write(AUTHORITY, &authority)?;
    let names = NAMES.map(str::to_owned).into_iter().chain([address.to_string()]).collect();
    let server = params(names, "kube-apiserver", None, ExtendedKeyUsagePurpose::ServerAuth)?;
    write_signed(site, &issuer, &server, [CERTIFICATE, KEY])?;
    let client = params(Vec::new(), ADMIN, Some(MASTERS), ExtendedKeyUsagePurpose::ClientAuth)?;
    write_signed(site, &issuer, &client, [CLIENT_CERTIFICATE, CLIENT_KEY])?;
    site.write(TOKENS, &tokens(nodes)).map(drop)
}

fn make_authority() -> Result<(String, Issuer<'static, KeyPair>)> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = distinguished_name("testbed", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), Issuer::new(params, key)))
}

fn params(
    names: Vec<String>,
    common_name: &str,
    organization: Option<&str>,
    usage: ExtendedKeyUsagePurpose,
) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = distinguished_name(common_name, organization);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    Ok(params)
}

fn distinguished_name(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name.push(DnType::CommonName, common_name);
    name
}

fn write_signed(
    site: &Site,
    issuer: &Issuer<'_, KeyPair>,
    params: &CertificateParams,
    [certificate, key]: [&str; 2],
) -> Result<()> {
    let pair = KeyPair::generate().with_context(|| format!("making {key}"))?;
    let signed = params.signed_by(&pair, issuer).with_context(|| format!("making {certificate}"))?;
    site.write(certificate, &signed.pem())?;
    site.write(key, &pair.serialize_pem()).map(drop)
}

/// Token, user, a number of the user's own, and group of each:
/// <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#static-token-file>
fn tokens(nodes: &[&str]) -> String {
    let kubelets = nodes.iter().map(|node| format!("{node},system:node:{node},{node},system:nodes\n"));
    let others = [
        format!("{ADMIN},{ADMIN},{ADMIN},{MASTERS}\n"),
        format!("{KUBE_PROXY},system:kube-proxy,{KUBE_PROXY}\n"),
    ];
    others.into_iter().chain(kubelets).collect()
}

/// Writes the kubeconfig of a user, or of a service account, with this token.
pub fn write_kubeconfig(
    site: &Site,
    address: IpAddr,
    user: &str,
    token: &str,
    namespace: &str,
) -> Result<PathBuf> {
    site.write(&kubeconfig_name(user), &kubeconfig(&site.dir, address, token, namespace))
}

pub fn kubeconfig_path(site: &Site, user: &str) -> PathBuf {
    site.dir.join(kubeconfig_name(user))
}

fn kubeconfig_name(user: &str) -> String {
    format!("{user}.kubeconfig")
}

fn kubeconfig(dir: &Path, address: IpAddr, token: &str, namespace: &str) -> String {
    let (authority, server) = (dir.join(AUTHORITY), host_and_port(address));
    format!(
        "apiVersion: v1
kind: Config
current-context: testbed
clusters:
- name: testbed
  cluster: {{server: 'https://{server}', certificate-authority: '{}'}}
users:
- name: testbed
  user: {{token: {token}}}
contexts:
- name: testbed
  context: {{cluster: testbed, user: testbed, namespace: {namespace}}}
",
        authority.display()
    )
}

/// Where it listens.
pub fn host_and_port(address: IpAddr) -> String {
    SocketAddr::new(address, PORT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_is_of_a_user_with_a_group() {
        let text = tokens(&["node1", "node2"]);
        let lines: Vec<_> = text.lines().collect();
        let expected = [
            "admin,admin,admin,system:masters",
            "kube-proxy,system:kube-proxy,kube-proxy",
            "node1,system:node:node1,node1,system:nodes",
            "node2,system:node:node2,node2,system:nodes",
        ];
        assert_eq!(lines, expected);
    }
}
