//! Sandboxes that share a private network with another one, and go with it.

use std::time::Duration;

use harbor_control::sandboxes::NewSandbox;
use harbor_model::names::SandboxRef;
use harbor_model::sandboxes::SandboxState;
use harbor_runner::Engine as _;

use crate::installation::Installation;

const SOON: Duration = Duration::from_secs(1);

fn linked_to(target: &impl ToString) -> NewSandbox {
    NewSandbox { linked: Some(SandboxRef::new(target.to_string())), auto_delete: Some(0), ..NewSandbox::default() }
}

#[tokio::test(start_paused = true)]
async fn a_linked_one_goes_with_its_target_however_that_goes() {
    let harbor = Installation::new().await;
    let (deleted, lived) = (harbor.started().await, NewSandbox { ttl: Some(1), ..NewSandbox::default() });
    let over = harbor.create_as(lived).await.unwrap().id;
    let first = harbor.create_as(linked_to(&deleted)).await.unwrap();
    let second = harbor.create_as(linked_to(&over)).await.unwrap();
    assert_eq!((first.linked, second.linked), (Some(deleted), Some(over)));
    harbor.delete(deleted).await.unwrap();
    assert_eq!(harbor.row(first.id).await.state(), SandboxState::Destroying, "in the same change");
    harbor.reaches(first.id, SandboxState::Destroyed, SOON).await;
    harbor.reaches(second.id, SandboxState::Destroyed, Duration::from_secs(90)).await;
    assert!(harbor.engine.list().await.unwrap().held.is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_is_linked_to_what_is_linked_or_moves_or_is_gone() {
    let harbor = Installation::new().await;
    let target = harbor.started().await;
    let linked = harbor.create_as(linked_to(&target)).await.unwrap().id;
    let refusal = async |new: NewSandbox| harbor.create_as(new).await.unwrap_err().to_string();
    assert!(refusal(linked_to(&linked)).await.contains("not chained"));
    assert!(refusal(NewSandbox { auto_delete: None, ..linked_to(&target) }).await.contains("ephemeral"));
    assert!(refusal(linked_to(&"nobody")).await.contains("not found"));
    harbor.pause(target).await.unwrap();
    harbor.reaches(target, SandboxState::Paused, SOON).await;
    assert!(refusal(linked_to(&target)).await.contains("paused"));
}
