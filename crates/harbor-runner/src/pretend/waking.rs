//! Waking: the toolbox answers, and the engine a while later.

use futures_util::FutureExt;
use harbor_model::ids::{ContainerId, SandboxId};

use super::{Act, Call, DEADLINE, Pretend, UnderWay, Verb, configured, wait};
use crate::error::EngineError;
use crate::sandbox::{Configuration, Woken};

impl Pretend {
    pub(super) async fn wake_up(
        &self,
        id: &SandboxId,
        container: &ContainerId,
        configuration: &Configuration,
    ) -> Result<Option<Woken>, EngineError> {
        if !self.lock().world.is_frozen(id, container) {
            return Ok(None);
        }
        let under_way = UnderWay { engine: self.clone(), verb: Verb::Wake };
        let (scripted, usual) = self.lock().script.begin(Call { verb: Verb::Wake, sandbox: Some(*id) });
        let late = match scripted {
            None => usual,
            Some(Act::Slow(time) | Act::Late(time)) => time,
            Some(Act::Lost) => DEADLINE,
            Some(Act::Fail(error)) => return Err(error),
            Some(Act::Hang) => {
                wait(DEADLINE).await;
                return Err(EngineError::TooSlow { doing: "wake".to_owned(), limit: DEADLINE });
            }
        };
        self.lock().world.wake(id, container, configuration)?;
        let waking = Waking { engine: self.clone(), id: *id };
        let engine_answered = async move {
            let _until_then = (under_way, waking);
            wait(late).await;
        };
        Ok(Some(Woken { configured: configured(), engine_answered: engine_answered.boxed() }))
    }
}

/// One that goes on, until the engine says so too.
struct Waking {
    engine: Pretend,
    id: SandboxId,
}

impl Drop for Waking {
    fn drop(&mut self) {
        self.engine.meddle(&self.id, |world| world.woken(&self.id));
    }
}
