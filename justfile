# The commands of this repository; the logic is in scripts/. `just` alone lists them.

_default:
    @just --list --unsorted

# from a fresh clone to a running harbor (--check, --no-install, --foreground)
up *arguments:
    ./scripts/up {{arguments}}

# stop the running harbor; sandboxes and data stay
down:
    ./target/debug/harbor down

# everything CI runs (--only NAME, --list)
test *arguments:
    ./scripts/test {{arguments}}

# the SDK suites and platform tests on a current Docker engine beside the machine's own (NAME...)
test-engines *names:
    ./scripts/test-engines {{names}}

# what is there and what is missing on this machine
check:
    ./scripts/up --check

# harbor with its parts inside (--release, --embedded)
build *arguments:
    ./scripts/build {{arguments}}

# the test suites whose name holds NAME
e2e name:
    ./scripts/test --only {{name}}

# speed and footprint, as ratios to floors measured in the same run (--quick, --only GROUP)
bench *arguments:
    ./scripts/bench/run {{arguments}}

# half an hour of mixed load; fails if memory, open files or threads grew (--minutes N)
soak *arguments:
    ./scripts/bench/soak {{arguments}}

# half an hour of random operations and faults; fails if anything is lost, mixed up or left (--minutes N, --seed N, --short)
chaos *arguments:
    ./scripts/chaos/run {{arguments}}

# the default sandbox image (--check, --no-pull)
image *arguments:
    ./scripts/default-image {{arguments}}

# format the code
fmt:
    cargo fmt --all

# the lints that CI holds
lint:
    ./scripts/test --only lint

# licences, bans and sources of the dependencies
deny:
    ./scripts/test --only deny
