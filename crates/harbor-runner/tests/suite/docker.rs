//! The Docker engine of this machine as the suite's subject.

use harbor_runner::fixture::Fixture;

use super::{cases, for_each_case};

macro_rules! on_docker {
    ($($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let fixture = Fixture::prepared().await;
                cases::$case(&fixture).await;
                fixture.finish().await;
            }
        )*
    };
}
for_each_case!(on_docker);
