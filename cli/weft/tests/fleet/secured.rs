//! TLS with certificates of both sides, and credentials that say what a host may do.

use super::world::{HOST, Shard, World};
use super::{text, until_content};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair as TlsKey,
};
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

fn write(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// An authority, and a certificate of it for the server and one for a client.
fn certificates(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, TlsKey::generate().unwrap()).unwrap();
    write(&folder.join("ca.pem"), &authority.pem());
    for (name, usage) in
        [("server", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)]
    {
        let mut params = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = TlsKey::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        write(&folder.join(format!("{name}.pem")), &certificate.pem());
        write(&folder.join(format!("{name}.key")), &key.serialize_pem());
    }
}

/// A JWT as the server has them, signed by a key.
fn token(issuer: &KeyPair, subject: &KeyPair, kind: &str, mut nats: Value) -> String {
    nats["type"] = json!(kind);
    nats["version"] = json!(2);
    let claims = json!({
        "jti": subject.public_key(), "iat": 1_795_228_969, "iss": issuer.public_key(), "name": kind,
        "sub": subject.public_key(), "nats": nats,
    });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&json!({ "typ": "JWT", "alg": "ed25519-nkey" })), encode(&claims));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// What `docs/fleet.md` says that an agent listens to, for this host.
const LISTEN: [&str; 3] = ["_INBOX.h1_example.>", "$KV.weft-policy.fleet", "$KV.weft-policy.host.h1_example"];

/// A file of credentials for somebody who may publish and subscribe to these subjects.
fn credentials(path: &Path, account: &KeyPair, publish: &[String]) {
    let user = KeyPair::new_user();
    let nats = json!({
        "subs": -1, "data": -1, "payload": -1,
        "pub": if publish.is_empty() { json!({}) } else { json!({ "allow": publish }) },
        "sub": if publish.is_empty() { json!({}) } else { json!({ "allow": LISTEN }) },
    });
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        token(account, &user, "user", nats),
        user.seed().unwrap(),
    );
    write(path, &text);
}

/// What `docs/fleet.md` says that an agent needs, for this host.
fn permissions() -> Vec<String> {
    let page = include_str!("../../../../docs/fleet.md");
    let (_, list) = page.split_once("<!-- permissions -->\n\n").expect("the list of what an agent may do");
    let lines = list.lines().take_while(|line| line.starts_with("    "));
    lines.map(|line| line.trim().replace("HOST", "h1_example")).collect()
}

fn server(folder: &Path) -> Option<PathBuf> {
    certificates(folder);
    let (operator, account, system) =
        (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account());
    let unlimited = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
        "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
    });
    credentials(&folder.join("admin.creds"), &account, &[]);
    credentials(&folder.join("host.creds"), &account, &permissions());
    credentials(&folder.join("stranger.creds"), &KeyPair::new_account(), &[]);
    let config = format!(
        "operator: {}\nresolver: MEMORY\nsystem_account: {}\nresolver_preload: {{ {}: {}, {}: {} }}\n\
         tls {{ cert_file: \"{path}/server.pem\", key_file: \"{path}/server.key\", ca_file: \"{path}/ca.pem\", verify: true }}\n",
        token(&operator, &operator, "operator", json!({})),
        system.public_key(),
        account.public_key(),
        token(&operator, &account, "account", json!({ "limits": &unlimited })),
        system.public_key(),
        // It carries what the servers tell each other, and no streams.
        token(
            &operator,
            &system,
            "account",
            json!({ "limits": { "conn": -1, "subs": -1, "data": -1, "payload": -1 } })
        ),
        path = folder.display(),
    );
    let path = folder.join("server.conf");
    write(&path, &config);
    Some(path)
}

#[test]
fn tls_with_client_certificates_and_credentials_let_in_who_may_and_nobody_else() {
    let Some(mut world) = World::bare("secured", server) else { return };
    let plain = world.access.clone();
    let path = |name: &str| world.folder.join(name).display().to_string();
    let with = |credentials: &str| -> Vec<String> {
        let files = [
            "--tls-ca",
            &path("ca.pem"),
            "--tls-cert",
            &path("client.pem"),
            "--tls-key",
            &path("client.key"),
        ];
        let files = files.into_iter().map(str::to_owned);
        plain.iter().cloned().chain(files).chain(["--credentials".to_owned(), path(credentials)]).collect()
    };
    let (admin, host, stranger) = (with("admin.creds"), with("host.creds"), with("stranger.creds"));
    let refused = |world: &mut World, access: &[String]| {
        world.access = access.to_vec();
        let output = world.try_ask(&["status"]);
        assert_eq!(output.status.code(), Some(2), "{access:?}");
        text(&output.stderr)
    };
    // Without a certificate, without credentials, and with those of another account.
    refused(&mut world, &[&plain[..], &admin[2..4], &admin[8..]].concat());
    refused(&mut world, &admin[..8]);
    refused(&mut world, &stranger);
    world.access = admin.clone();
    world.ask(&["setup"]);
    world.push("allow a.example\n", &[]);
    Shard::open(&world).append(1_200);
    // The agent may do what the documentation says, and no more.
    world.access = host.clone();
    let agent = world.agent();
    world.access = admin.clone();
    until_content(&world.folder.join("policy.list"), "allow a.example\n");
    world.until_shipped(1, 1_200);
    world.push("allow b.example\n", &["--host", HOST]);
    until_content(&world.folder.join("policy.list"), "allow b.example\n");
    super::until("the host's status", || (world.status()?["shards"][0]["shipped"] == 1_200).then_some(()));
    agent.stop();
    // Nothing that it asked for was more than that.
    assert!(!world.server.log().contains("Violation"), "{}", world.server.log());
    world.access = host.clone();
    for words in [
        &["policy", "push", &world.path("pushed.list")][..],
        &["ledger", "fetch", "--host", HOST, "-o", &world.path("stolen")],
    ] {
        let output = world.try_ask(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", text(&output.stderr));
    }
    // What signs is used only where nobody else can read it.
    for file in ["host.creds", "client.key"] {
        let path = world.folder.join(file);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let told = refused(&mut world, &host);
        assert!(told.contains("chmod 600") && told.contains(file), "{told}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}
