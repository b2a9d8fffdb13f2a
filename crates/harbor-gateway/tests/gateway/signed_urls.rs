//! Signed URLs of files (contract, toolbox §11.15). The signatures were computed with Python:
//! `"v1_" + urlsafe_b64encode(hmac.new(b"k", b"v1:files:GET:/home/daytona/a b.txt:0", "sha256").digest()).rstrip(b"=")`

use harbor_model::actors::Actor;
use harbor_model::ids::SandboxId;
use harbor_model::sandboxes::{Desired, Seen};
use harbor_model::secrets::Secret;
use http::StatusCode;

use crate::fixture::{Answer, KEY, PREVIEW_TOKEN, Started, TOKEN_HEADER, TOOLBOX_TOKEN, WEAK_KEY, ask, bearer};

const FILE: &str = "path=%2Fhome%2Fdaytona%2Fa+b.txt";
const GET: &str = "v1_lfnkzruB9u7YDraZArDme-vR_pfef_AsE986dhOWR20";
const POST: &str = "v1_LELywHaED7H14o2hDd_WUnCumJm4-SUveeclSWBOc9Y";
/// Until 2100.
const GET_UNTIL_2100: &str = "v1_egzyGWE39211RmesEb9DZcSbWG9yz6p-tvX9n4q2OIA";
/// Until the beginning of 2026; the contract's own example (toolbox §22.6).
const GET_UNTIL_2026: &str = "v1_Ditm8c9OgLyLE2IV69-z6vMw3MrupQrsIs6sA540CUo";
/// Of the path `ü+%2F&x=1;/:é`, for ever.
const GET_ODD: &str = "v1_bySCZX3futPu8ofju5PoUaqRjJbjO7r1movH8dXxuyc";
/// Of `GET:x:5:0`, which is the path `x:5` for ever and must not be the path `x` until `5:0`.
const GET_COLONS: &str = "v1_wjoEB6srwP7Nq0RBNOIMwzXQ-dXlisO8HpjfoKzEwC0";
/// What the toolbox is asked for.
const ASKED: &str = "/files/download?path=%2Fhome%2Fdaytona%2Fa%20b%2Etxt";

async fn started() -> Started {
    let started = Started::with_mirror().await;
    started.store.by(Actor::Harbor).replace_signing_key(started.sandbox.id, Secret::new("k")).await.unwrap();
    started
}

impl Started {
    async fn show(&self, method: &str, rest: &str) -> Answer {
        ask(self.proxy, method, &self.path(rest), &[], "content").await
    }

    /// Nothing inside the sandbox is touched.
    async fn refuses(&self, method: &str, rest: &str) {
        let before = self.dialled();
        let answer = self.show(method, rest).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {rest}");
        if method != "HEAD" {
            assert_eq!(answer.json()["code"], "UNAUTHORIZED", "{method} {rest}");
        }
        assert_eq!(self.dialled(), before, "{method} {rest}");
    }
}

#[tokio::test]
async fn one_file_is_opened_and_the_signature_stays_outside() {
    let started = started().await;
    let check = async |method: &str, rest: &str, asked: &str| {
        let answer = started.show(method, rest).await;
        assert_eq!(answer.status, StatusCode::OK, "{rest}: {}", answer.text());
        assert_eq!(answer.target(), asked);
        assert_eq!(answer.seen(TOKEN_HEADER), [TOOLBOX_TOKEN]);
        assert!(answer.text().ends_with("\n\ncontent"));
        assert!(!answer.text().contains("v1_"));
    };
    check("GET", &format!("/files/download?{FILE}&expires=0&signature={GET}"), ASKED).await;
    check("GET", &format!("/files/download?{FILE}&expires=4102444800&signature={GET_UNTIL_2100}"), ASKED).await;
    check("GET", &format!("/files/download?signature={GET}&expires=%30&p%61th=/home/daytona/a%20b.txt"), ASKED).await;
    let upload = format!("/files/upload-v2?{FILE}&expires=0&signature={POST}");
    check("POST", &upload, &ASKED.replace("download", "upload-v2")).await;

    // whatever the path holds arrives as one value, and nothing beside it does
    let odd = "path=%C3%BC%2B%252F%26x%3D1%3B%2F%3A%C3%A9";
    let asked = "/files/download?path=%C3%BC%2B%252F%26x%3D1%3B%2F%3A%C3%A9";
    check("GET", &format!("/files/download?{odd}&mode=777&expires=0&signature={GET_ODD}&PATH=x"), asked).await;
    check("GET", &format!("/files/download?path=x:5&expires=0&signature={GET_COLONS}"), "/files/download?path=x%3A5")
        .await;

    // the API's listener serves the same path
    let path = started.path(&format!("/files/download?{FILE}&expires=0&signature={GET}"));
    assert_eq!(ask(started.api, "GET", &path, &[], "").await.target(), ASKED);
}

#[tokio::test]
async fn no_other_claim_is_believed() {
    let started = started().await;
    let download = async |query: &str| started.refuses("GET", &format!("/files/download?{query}")).await;
    download(&format!("{FILE}&expires=1767225600&signature={GET_UNTIL_2026}")).await;
    download(&format!("{FILE}&expires=4102444801&signature={GET_UNTIL_2100}")).await;
    download(&format!("{FILE}&expires=0&signature={GET_UNTIL_2100}")).await;
    for signature in [POST, "", "v1_", &GET[3..], &GET.to_lowercase(), &format!("{GET}="), &format!("{GET}%00"), "k"] {
        download(&format!("{FILE}&expires=0&signature={signature}")).await;
    }
    for path in [
        "path=%2Fhome%2Fdaytona%2Fa%2Bb.txt",
        "path=%2Fhome%2Fdaytona%2Fa%2520b.txt",
        "path=%2Fhome%2Fdaytona%2Fa+b.txt%00",
        "path=%2Fhome%2Fdaytona%2F.%2Fa+b.txt",
        "path=%2FHOME%2Fdaytona%2Fa+b.txt",
        "Path=%2Fhome%2Fdaytona%2Fa+b.txt",
        "path=",
        "",
    ] {
        download(&format!("{path}&expires=0&signature={GET}")).await;
    }
    // in a form that says the same to one reader and something else to another
    for expires in ["00", "%2B0", "-1", "", "+0", "0x0", "5:0"] {
        download(&format!("{FILE}&expires={expires}&signature={GET}")).await;
    }
    download(&format!("path=x&expires=5:0&signature={GET_COLONS}")).await;
    for twice in
        ["path=%2Fetc%2Fshadow", "p%61th=x", "path", "expires=0", "signature=v1_x", &format!("signature={GET}")]
    {
        download(&format!("{FILE}&expires=0&signature={GET}&{twice}")).await;
        download(&format!("{twice}&{FILE}&expires=0&signature={GET}")).await;
    }
    download(&format!("{FILE}&expires=0")).await;
    download(&format!("{FILE}&signature={GET}")).await;
    let refusal = started.show("GET", &format!("/files/download?{FILE}&expires=0&signature=v1_x")).await.json();
    assert!(refusal["message"].as_str().unwrap().contains("Signed URL is invalid or expired"), "{refusal}");
}

#[tokio::test]
async fn nothing_else_becomes_reachable() {
    let started = started().await;
    for signature in [GET, POST] {
        let query = format!("{FILE}&expires=0&signature={signature}");
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            for route in [
                "/",
                "/files",
                "/files/",
                "/files/info",
                "/files/download/",
                "/files/upload",
                "/files/upload-v2/",
                "/files/bulk-download",
                "/files/bulk-upload",
                "//files/download",
                "/files//download",
                "/files/./download",
                "/x/../files/download",
                "/files%2Fdownload",
                "/files/downloa%64",
                "/FILES/DOWNLOAD",
                "/files/download;x",
                "/proxy/3000/files/download",
                "/process/execute",
            ] {
                started.refuses(method, &format!("{route}?{query}")).await;
            }
            if (method, signature) != ("GET", GET) {
                started.refuses(method, &format!("/files/download?{query}")).await;
            }
            if (method, signature) != ("POST", POST) {
                started.refuses(method, &format!("/files/upload-v2?{query}")).await;
            }
        }
    }
    // the older path takes keys only
    let legacy = started.legacy(&format!("/files/download?{FILE}&expires=0&signature={GET}"));
    assert_eq!(ask(started.api, "GET", &legacy, &[], "").await.status, StatusCode::UNAUTHORIZED);
    // and the signing key itself is no credential
    let token = [("x-daytona-preview-token", "k")];
    let answer = ask(started.proxy, "GET", &started.path("/files/download?path=x"), &token, "").await;
    assert_eq!((answer.status, started.dialled()), (StatusCode::UNAUTHORIZED, 0));
}

#[tokio::test]
async fn beside_another_credential_a_signature_counts_for_nothing() {
    let started = started().await;
    let rest = format!("/files/download?{FILE}&expires=0&signature={GET}");
    let bad_keys = ["wrong", TOOLBOX_TOKEN].map(bearer);
    let wrong = [
        ("authorization", bad_keys[0].as_str()),
        ("authorization", bad_keys[1].as_str()),
        ("x-daytona-preview-token", "wrong"),
    ];
    for header in wrong {
        let answer = ask(started.proxy, "GET", &started.path(&rest), &[header], "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{header:?}");
    }
    started.refuses("GET", &format!("{rest}&DAYTONA_SANDBOX_AUTH_KEY=wrong")).await;

    // one that opens is the one that counts; the query is the caller's own
    let weak = [("authorization", &*bearer(WEAK_KEY))];
    assert_eq!(ask(started.proxy, "GET", &started.path(&rest), &weak, "").await.status, StatusCode::FORBIDDEN);
    for header in [("authorization", &*bearer(KEY)), ("x-daytona-preview-token", PREVIEW_TOKEN)] {
        let rest = "/files/download?path=a+b&expires=1&signature=x";
        let answer = ask(started.proxy, "GET", &started.path(rest), &[header], "").await;
        assert_eq!((answer.status, answer.target().as_str()), (StatusCode::OK, rest));
    }
}

#[tokio::test]
async fn a_rotated_key_a_missing_one_and_another_sandboxs_open_nothing() {
    let started = Started::with_mirror().await;
    let id = started.sandbox.id;
    let rest = format!("/files/download?{FILE}&expires=0&signature={GET}");
    started.refuses("GET", &rest).await; // nobody has asked for a key yet
    started.store.by(Actor::Harbor).replace_signing_key(id, Secret::new("k")).await.unwrap();
    assert_eq!(started.show("GET", &rest).await.status, StatusCode::OK);

    let unknown = format!("/toolbox/{}{rest}", SandboxId::random());
    assert_eq!(ask(started.proxy, "GET", &unknown, &[], "").await.status, StatusCode::UNAUTHORIZED);
    let named = format!("/toolbox/{}{rest}", started.sandbox.name);
    assert_eq!(ask(started.proxy, "GET", &named, &[], "").await.status, StatusCode::UNAUTHORIZED);

    started.store.by(Actor::Harbor).replace_signing_key(id, Secret::new("another")).await.unwrap();
    started.refuses("GET", &rest).await;
}

#[tokio::test]
async fn another_sandboxs_key_opens_nothing_here() {
    let (started, other) = (started().await, Started::with_mirror().await);
    other.store.by(Actor::Harbor).replace_signing_key(other.sandbox.id, Secret::new("K")).await.unwrap();
    let rest = format!("/files/download?{FILE}&expires=0&signature={GET}");
    assert_eq!(started.show("GET", &rest).await.status, StatusCode::OK);
    other.refuses("GET", &rest).await;
}

#[tokio::test]
async fn the_sandbox_has_to_run_and_a_deleted_one_has_no_key() {
    let started = started().await;
    let rest = format!("/files/download?{FILE}&expires=0&signature={GET}");
    started.change(|sandbox| sandbox.desired = Desired::Stopped).await;
    let answer = started.show("GET", &rest).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (StatusCode::BAD_REQUEST, Some("BAD_REQUEST")));
    started.change(|sandbox| sandbox.desired = Desired::Started).await;
    assert_eq!(started.show("GET", &rest).await.status, StatusCode::OK); // keys outlive a stop

    started.change(|sandbox| sandbox.desired = Desired::Destroyed).await;
    started.refuses("GET", &rest).await;
    started.change(|sandbox| sandbox.seen = Seen::Removed).await;
    started.refuses("GET", &rest).await;
    assert_eq!(started.store.signing_key(started.sandbox.id).await.unwrap(), None);
}
