//! Secrets, of which only the password of a BGP session is ever kept.

use k8s_openapi::{api::core::v1, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use crate::objects::crds::Hidden;

const BASIC_AUTH: &str = "kubernetes.io/basic-auth";
const PASSWORD: &str = "password";

/// What is kept of a Secret.
#[derive(Clone, PartialEq, Debug)]
pub struct Secret {
    /// Name and namespace: an annotation may well hold all of the Secret once more.
    pub metadata: ObjectMeta,
    /// Err: message and remedy of the problem because of which there is none.
    pub password: Result<Hidden, (String, String)>,
}

impl From<v1::Secret> for Secret {
    fn from(secret: v1::Secret) -> Self {
        let password = basic_auth_password(&secret);
        let ObjectMeta { name, namespace, creation_timestamp, .. } = secret.metadata;
        Self {
            metadata: ObjectMeta { name, namespace, creation_timestamp, ..ObjectMeta::default() },
            password,
        }
    }
}

fn basic_auth_password(secret: &v1::Secret) -> Result<Hidden, (String, String)> {
    if secret.type_.as_deref() != Some(BASIC_AUTH) {
        let is = secret.type_.as_deref().unwrap_or("Opaque");
        return Err((format!("is of type {is}"), format!("write type: {BASIC_AUTH}")));
    }
    // As with the API server, stringData overrides data.
    if let Some(text) = secret.string_data.as_ref().and_then(|data| data.get(PASSWORD)) {
        return Ok(Hidden::from(text.clone()));
    }
    let Some(bytes) = secret.data.as_ref().and_then(|data| data.get(PASSWORD)) else {
        return Err(("has no password".to_owned(), "add stringData.password".to_owned()));
    };
    let text = String::from_utf8(bytes.0.clone());
    text.map(Hidden::from).map_err(|_| {
        ("has a password that is not text".to_owned(), "use UTF-8, without base64 twice".to_owned())
    })
}
