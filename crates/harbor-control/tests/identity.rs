//! Users, organizations, keys and what they may do, on a real store without an engine.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use harbor_control::fixture::{self, KEY, NoEngine};
use harbor_control::{
    Administer, Allowed, Caller, Config, Control, DeleteSandboxes, Kind, MakeImages, NewKey, NewUser, RegistryDenial,
    RegistryScope, TemporaryDenial, WriteSandboxes,
};
use harbor_model::identity::Permission;
use harbor_model::ids::{OrganizationId, UserId};
use harbor_model::secrets::Secret;
use harbor_model::{Timestamp, to_millisecond};
use harbor_store::{EncryptionKey, Store};

fn encryption_key() -> EncryptionKey {
    EncryptionKey::derive(&Secret::new("key"), &Secret::new("salt"))
}

fn config() -> Config {
    fixture::config(Duration::ZERO)
}

struct Installation {
    control: Control,
    store: Store,
    _directory: tempfile::TempDir,
}

impl Installation {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("harbor.db"), &encryption_key()).unwrap();
        let control = Control::new(store.clone(), config(), Arc::new(NoEngine), Arc::new(NoEngine)).await.unwrap();
        Self { control, store, _directory: directory }
    }

    async fn administrator(&self) -> Allowed<Administer> {
        self.control.authenticate(KEY).await.unwrap().allow().unwrap()
    }

    /// Makes a key for `caller` and answers who shows it.
    async fn key(&self, caller: &Caller, name: &str, permissions: &[Permission]) -> Caller {
        let new = NewKey { name: name.parse().unwrap(), permissions: permissions.to_vec(), expires_at: None };
        let issued = self.control.create_key(caller, new).await.unwrap();
        self.control.authenticate(issued.value.reveal()).await.unwrap()
    }

    /// Makes an ordinary user and answers it within its personal organization.
    async fn user(&self, id: &str) -> Caller {
        let administrator = self.administrator().await;
        let (user, personal) = self.control.create_user(&administrator, new_user(id)).await.unwrap();
        self.control.acting_for(&administrator, &user.id, personal.id).await.unwrap()
    }
}

fn new_user(id: &str) -> NewUser {
    NewUser { id: UserId::new(id), name: id.parse().unwrap(), email: format!("{id}@harbor.test"), administrator: false }
}

#[track_caller]
fn refusal<T>(outcome: Result<T, harbor_control::Error>) -> Kind {
    match outcome {
        Ok(_) => panic!("not refused"),
        Err(error) => error.kind(),
    }
}

#[tokio::test]
async fn a_caller_may_what_its_key_gives_and_nothing_else() {
    let place = Installation::new().await;
    let administrator = place.administrator().await;
    let writer = place.key(&administrator, "writer", &[Permission::WriteSandboxes]).await;
    assert!(writer.clone().allow::<WriteSandboxes>().is_ok());
    let refused = writer.clone().allow::<DeleteSandboxes>().unwrap_err();
    assert_eq!(refused.to_string(), "Access denied: this needs the permission delete:sandboxes");
    assert_eq!(refusal(writer.allow::<Administer>()), Kind::Forbidden, "a narrowed key of the administrator's");
}

#[tokio::test]
async fn a_new_user_is_the_owner_of_an_organization_of_its_own() {
    let place = Installation::new().await;
    let user = place.user("somebody").await;
    let caller = place.key(&user, "first", Permission::ALL).await;
    assert_eq!((caller.user().id.as_str(), caller.user().administrator), ("somebody", false));
    let all = place.control.organizations(&caller).await.unwrap();
    let [personal] = all.as_slice() else { panic!("{all:?}") };
    assert!(personal.personal && personal.id == caller.organization() && personal.name.as_str() == "Personal");
    let own = caller.clone().within(personal.id).unwrap();
    assert_eq!(place.control.members(&own).await.unwrap().len(), 1);
    assert_eq!(refusal(caller.clone().within(OrganizationId::random())), Kind::Forbidden);
    assert_eq!(refusal(caller.allow::<Administer>()), Kind::Forbidden, "with every permission");
}

#[tokio::test]
async fn ids_and_addresses_of_users_are_taken_once() {
    let place = Installation::new().await;
    place.user("somebody").await;
    let administrator = place.administrator().await;
    for (id, email) in [("somebody", "new@harbor.test"), ("new", "somebody@harbor.test")] {
        let new = NewUser { email: email.to_owned(), ..new_user(id) };
        assert_eq!(refusal(place.control.create_user(&administrator, new).await), Kind::Conflict, "{id} {email}");
    }
    let (fresh, _) = place.control.create_user(&administrator, new_user("new")).await.unwrap();
    assert_eq!(fresh.id.as_str(), "new", "a refused one left nothing behind");
}

#[tokio::test]
async fn an_organization_belongs_to_who_made_it() {
    let place = Installation::new().await;
    let (maker, stranger) = (place.user("maker").await, place.user("stranger").await);
    let made = place.control.create_organization(&maker, "Team".parse().unwrap()).await.unwrap();
    assert!(!made.personal && made.created_by == maker.user().id);
    let administrator = place.administrator().await;
    let within = place.control.acting_for(&administrator, &maker.user().id, made.id).await.unwrap();
    let key = place.key(&within, "team", &[]).await;
    assert_eq!(place.control.organization(&key.within(made.id).unwrap()).await.unwrap(), made);
    let other = place.control.acting_for(&administrator, &stranger.user().id, made.id).await;
    assert_eq!(refusal(other), Kind::NotFound);
    for number in 1..10 {
        place.control.create_organization(&maker, format!("Team {number}").parse().unwrap()).await.unwrap();
    }
    assert_eq!(refusal(place.control.create_organization(&maker, "One more".parse().unwrap()).await), Kind::Forbidden);
}

fn in_hours(hours: i64) -> Timestamp {
    to_millisecond(Timestamp::now_utc()) + time::Duration::hours(hours)
}

#[tokio::test]
async fn a_key_outlives_and_exceeds_no_key_that_made_it() {
    let place = Installation::new().await;
    let administrator = place.administrator().await;
    let new = |name: &str, permissions: &[Permission], expires_at| NewKey {
        name: name.parse().unwrap(),
        permissions: permissions.to_vec(),
        expires_at,
    };
    let (soon, later) = (in_hours(1), in_hours(2));
    let parent = new("parent", &[Permission::WriteSandboxes], Some(soon));
    let parent = place.control.create_key(&administrator, parent).await.unwrap();
    let parent = place.control.authenticate(parent.value.reveal()).await.unwrap();

    let unlimited = place.control.create_key(&parent, new("unlimited", &[], None)).await.unwrap();
    assert_eq!(unlimited.key.expires_at, Some(soon), "it ends with its parent");
    let sooner = place.control.create_key(&parent, new("sooner", &[], Some(in_hours(0)))).await.unwrap();
    assert!(sooner.key.expires_at < Some(soon));
    let refused = place.control.create_key(&parent, new("later", &[], Some(later))).await;
    assert_eq!(refusal(refused), Kind::Forbidden);
    let refused = place.control.create_key(&parent, new("stronger", &[Permission::DeleteSandboxes], None)).await;
    assert_eq!(refusal(refused), Kind::Forbidden);
    let endless = place.control.create_key(&administrator, new("endless", &[], None)).await.unwrap();
    assert_eq!(endless.key.expires_at, None);
}

#[tokio::test]
async fn a_key_goes_with_the_key_that_made_it() {
    let place = Installation::new().await;
    let administrator = place.administrator().await;
    let parent = place.key(&administrator, "parent", &[Permission::WriteSandboxes]).await;
    let child = place.key(&parent, "child", &[]).await;
    let grandchild = place.key(&child, "grandchild", &[]).await;
    place.key(&administrator, "other", &[]).await;
    place.control.delete_key(&administrator, None, "parent").await.unwrap();
    let left = place.control.keys(&administrator).await.unwrap();
    let mut left: Vec<&str> = left.iter().map(|key| key.name.as_str()).collect();
    left.sort_unstable();
    assert_eq!(left, ["first", "other"]);
    let orphan = NewKey { name: "orphan".parse().unwrap(), permissions: Vec::new(), expires_at: None };
    assert_eq!(refusal(place.control.create_key(&grandchild, orphan).await), Kind::Unauthenticated);
}

#[tokio::test]
async fn looking_whether_a_key_opens_is_not_using_it() {
    let place = Installation::new().await;
    let administrator = place.control.authenticate(KEY).await.unwrap();
    let new = NewKey { name: "watched".parse().unwrap(), permissions: Vec::new(), expires_at: None };
    let issued = place.control.create_key(&administrator, new).await.unwrap();
    let last_use = async || place.control.key(&administrator, "watched").await.unwrap().last_used_at;
    let opens = place.control.still_opens(issued.value.reveal()).await.unwrap();
    assert_eq!((opens, last_use().await), (administrator.organization(), None));
    assert_eq!(refusal(place.control.still_opens("dtn_unknown").await), Kind::Unauthenticated);
    place.control.authenticate(issued.value.reveal()).await.unwrap();
    assert!(last_use().await.is_some());
}

#[tokio::test]
async fn the_administrators_name_and_address_follow_the_configuration() {
    let place = Installation::new().await;
    place.user("other").await;
    let with = |name: &str, email: &str| Config {
        administrator_name: name.to_owned(),
        administrator_email: email.to_owned(),
        ..config()
    };
    let restart = |config| Control::new(place.store.clone(), config, Arc::new(NoEngine), Arc::new(NoEngine));
    let control = restart(with("Captain", "captain@harbor.test")).await.unwrap();
    let user = control.authenticate(KEY).await.unwrap().user().clone();
    assert_eq!((user.name.as_str(), user.email.as_str()), ("Captain", "captain@harbor.test"));
    assert_eq!(refusal(restart(with("Captain", "other@harbor.test")).await), Kind::Conflict);
}

#[tokio::test]
async fn a_login_to_the_registry_opens_what_its_key_does() {
    let harbor = Installation::new().await;
    let scope = async |user: &str, password: &str| harbor.control.registry_scope(user, &Secret::new(password)).await;
    let owner = harbor.control.authenticate(KEY).await.unwrap();
    assert_eq!(scope("anybody", KEY).await, Ok(RegistryScope::Owner));
    assert_eq!(scope("anybody", "wrong").await, Err(RegistryDenial::Invalid));
    assert_eq!(scope("PUSHANYBODY", KEY).await, Ok(RegistryScope::Owner));

    let organization = owner.organization();
    let issue = async |name: &str, permissions: &[Permission]| {
        let new = NewKey { name: name.parse().unwrap(), permissions: permissions.to_vec(), expires_at: None };
        harbor.control.create_key(&owner, new).await.unwrap().value
    };
    let pushes = issue("pushes", &[Permission::WriteSandboxes]).await;
    let pulls = issue("pulls", &[Permission::DeleteSandboxes]).await;
    for (key, push) in [(&pushes, true), (&pulls, false)] {
        let expected = RegistryScope::Organization { id: organization, push };
        assert_eq!(scope("key", key.reveal()).await, Ok(expected));
    }
    let asks = harbor.control.authenticate(pulls.reveal()).await.unwrap().allow::<MakeImages>();
    assert_eq!(refusal(asks), Kind::Forbidden);

    // for an hour, of its own organization, whoever asks
    let asks = harbor.control.authenticate(pushes.reveal()).await.unwrap().allow::<MakeImages>().unwrap();
    let login = harbor.control.registry_login(&asks).unwrap();
    let open = RegistryScope::Organization { id: organization, push: true };
    assert_eq!(scope(&login.username, login.secret.reveal()).await, Ok(open));
    let stranger = harbor.user("stranger").await;
    let theirs = stranger.organization();
    let other = harbor.control.registry_login(&stranger.allow().unwrap()).unwrap();
    let open = RegistryScope::Organization { id: theirs, push: true };
    assert_eq!(scope(&other.username, other.secret.reveal()).await, Ok(open));
    assert_eq!(scope(&login.username, other.secret.reveal()).await, Err(RegistryDenial::Invalid));
    assert_eq!(scope("anybody", login.secret.reveal()).await, Err(RegistryDenial::Invalid));
    // what opens object storage opens no registry, and the other way round
    let storage = harbor.control.push_access(&asks).await.unwrap();
    assert_eq!(scope(&storage.access_key, storage.session_token.reveal()).await, Err(RegistryDenial::Invalid));
    let scope_of_objects = harbor.control.object_scope(&login.username, Some(login.secret.reveal())).await;
    assert_eq!(scope_of_objects, Err(TemporaryDenial::InvalidToken));

    harbor.control.delete_key(&owner, None, "pushes").await.unwrap();
    assert_eq!(scope(&login.username, login.secret.reveal()).await, Err(RegistryDenial::Invalid));
    // harbor's own pulls need no key
    let own = harbor.control.own_registry_login(organization).unwrap();
    let open = RegistryScope::Organization { id: organization, push: false };
    assert_eq!(scope(&own.username, own.secret.reveal()).await, Ok(open));
}
